"""The shell around nghttp2 that both ends of the gateway use, and TLS for it."""
