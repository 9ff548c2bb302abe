"""Tests of `api_gateway.transcoding`."""
