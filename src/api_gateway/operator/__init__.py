"""What operators call: health, metrics, admin."""
