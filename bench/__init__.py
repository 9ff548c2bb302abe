"""Measure the gateway beside Envoy on one machine in one run: `python -m bench`.

Every target gets the same load in turn, round after round, so that drift of the machine hits all alike; what counts is
the ratio inside a round, in CPU time per request. A new case is one entry in `cases.py`.
"""
