"""What workers, and machines, share: the limiter's windows, the breakers' states and one generation number."""
