"""Tokens checked in the gateway itself: compact JWS, keys, key sets, claims. Nothing here performs I/O."""
