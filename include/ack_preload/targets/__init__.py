"""Targets: the node pools to speed up, declared in a validated file."""
