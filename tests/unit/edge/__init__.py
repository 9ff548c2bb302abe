"""Tests of `api_gateway.edge`."""
