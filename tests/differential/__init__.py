"""Our gateway and a live Envoy, side by side: the same schema, the same backend, the same bytes."""
