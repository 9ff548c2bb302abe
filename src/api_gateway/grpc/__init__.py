"""The back of the gateway: gRPC calls to services, over our own HTTP/2 connections."""
