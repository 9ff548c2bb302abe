"""Tests of `api_gateway.config`."""
