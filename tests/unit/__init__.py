"""Tests without sockets and without real time, one file for each file of the source."""
