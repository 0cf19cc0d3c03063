"""The billing meter: what each resource used, in seconds, and what is alive of which run."""
