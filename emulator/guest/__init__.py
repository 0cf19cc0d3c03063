"""Programs that run inside a machine."""
