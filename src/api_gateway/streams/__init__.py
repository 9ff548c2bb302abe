"""Calls with a stream of requests: what drives both directions at once, over a body or over a WebSocket."""
