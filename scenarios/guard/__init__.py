"""Scenarios of the guard: rate limits, their shared state and its failures, with real processes and a real Redis.

Each is one line of the reliability list (R1 to R10, D6, D10). `python -m scenarios.guard`, or `make guard`, runs them.
"""
