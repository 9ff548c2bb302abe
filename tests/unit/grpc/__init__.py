"""Tests of `api_gateway.grpc`."""
