"""Metrics, traces and logs. Telemetry is told about finished requests, never asked."""
