"""Tests of `api_gateway.policy`."""
