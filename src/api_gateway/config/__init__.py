"""Settings of the gateway: what they are (`settings`) and how they are read (`loader`)."""
