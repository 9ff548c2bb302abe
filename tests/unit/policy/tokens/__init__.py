"""Tests of `policy/tokens/`; most of what tokens must not get away with is in tests/security."""
