"""Fuzzing of the client side: mutated bytes of servers against the real channel, connection and calls."""
