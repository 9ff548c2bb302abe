"""Tests of `api_gateway.model`."""
