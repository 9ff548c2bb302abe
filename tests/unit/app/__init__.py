"""Tests of `api_gateway.app`."""
