"""Example backends, really served with grpcio, for `api-gateway demo` and the end-to-end tests."""
