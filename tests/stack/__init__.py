"""What surrounds the gateway: image, compose stack, Kubernetes, dashboards, alerts; all without a container engine."""
