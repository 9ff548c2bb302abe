"""Example backends: a user service and an auth service, really served with Google's grpcio.

They are ordinary gRPC services and know nothing of the gateway; nothing in the gateway imports them. The command line
starts them as a process of their own (`python -m api_gateway.demo.server`), so grpcio never shares a process with the
gateway. They need the extra `demo`.
"""
