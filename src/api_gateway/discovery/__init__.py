"""The control plane: asks services for their schema, plans routes from it, and replaces the route table."""
