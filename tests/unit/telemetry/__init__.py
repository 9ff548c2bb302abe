"""Tests of `api_gateway.telemetry`."""
