"""What operators call: health, metrics, administration, OpenAPI and the console."""
