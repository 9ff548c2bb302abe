"""Metrics, logs and trace context. Told what happened, never asked: nothing here decides about a request."""
