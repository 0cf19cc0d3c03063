"""The local cloud: ECS, ACK, Kubernetes, a registry and machines on one computer."""
