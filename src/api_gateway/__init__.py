"""API Gateway: HTTP/JSON clients on one side, gRPC services on the other."""
