"""Tests of `api_gateway.routing`."""
