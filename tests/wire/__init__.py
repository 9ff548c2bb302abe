"""Bytes on real sockets, checked against other implementations."""
