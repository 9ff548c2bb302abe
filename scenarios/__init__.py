"""Scenarios of faults: the whole gateway, as a process, in front of backends that die, freeze, refuse and attack.

Each scenario is one line of the reliability list (B1 to B20). It sends load to loopback, asks an oracle about
every single answer, and holds its figures against the line. `python -m scenarios`, or `make faults`, runs them.
"""
