"""Tests of `api_gateway.demo`."""
