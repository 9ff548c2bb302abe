"""What happens when processes, networks and stores fail."""
