"""The whole gateway as a process, in front of real gRPC servers."""
