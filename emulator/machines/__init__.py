"""What stands behind an instance: paper or real machines."""
