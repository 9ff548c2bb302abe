"""Tests of `api_gateway.discovery`."""
