"""gRPC's own interoperability cases, run by our transport."""
