"""Tests of `api_gateway.cli`."""
