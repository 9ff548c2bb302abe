"""Tests of `api_gateway.state`."""
