"""The slice of the Kubernetes API that measuring needs."""
