"""The control plane: asks backends what they offer, and turns it into routes."""
