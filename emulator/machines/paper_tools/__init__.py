"""Stand-ins for the programs of a machine, run as processes of their own on paper machines."""
