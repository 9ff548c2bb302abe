"""Which gRPC method a request means: the grammar of path templates and the immutable route table."""
