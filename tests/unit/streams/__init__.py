"""Tests of `api_gateway.streams`."""
