"""Tests of `api_gateway.proxy`."""
