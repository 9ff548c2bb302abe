"""The front of the gateway: clients, their connections, and what they are answered."""
