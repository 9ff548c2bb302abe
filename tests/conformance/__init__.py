"""Protobuf's JSON rules, held through the running gateway."""
