"""Tests of `api_gateway.operator`."""
