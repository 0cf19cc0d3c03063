"""History: locks, builds, snapshots, rollouts, samples."""
