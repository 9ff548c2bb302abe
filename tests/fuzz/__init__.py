"""Fuzzing: mutated bytes of servers against the real gRPC client, and the two JSON codecs beside each other."""
