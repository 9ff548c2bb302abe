"""The configuration file that the product promises to take as it is, letter by letter."""

from __future__ import annotations

CONTRACT = """\
server:
  host: "0.0.0.0"
  port: 8080
  request_timeout_ms: 30000
services:
  user-service:
    name: "user-service"
    endpoint: "http://user-service:50051"
    timeout_ms: 5000
    connection_pool_size: 10
    auto_discover: true
    tls_enabled: false
    circuit_breaker:
      failure_threshold: 5      # consecutive failures that open it
      success_threshold: 2      # consecutive successes that close it again
      timeout_seconds: 60       # how long it stays open before a trial
auth:
  service_endpoint: "http://auth-service:50051"
  timeout_ms: 3000
rate_limit:
  enabled: true
  requests_per_minute: 100
  window_seconds: 60
observability:
  tempo_endpoint: "http://tempo:4317"
  service_name: "api-gateway"
  otlp_timeout_secs: 3
  max_events_per_span: 64
  max_attributes_per_span: 16
discovery:
  enabled: true
  refresh_interval_seconds: 300
route_overrides:
  - grpc_method: "user.UserService/GetUser"
    http_path: "/api/v2/users/:id"
    http_method: "GET"
"""
