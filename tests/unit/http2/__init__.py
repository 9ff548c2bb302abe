"""Tests of `api_gateway.http2`."""
