"""Container Service for Kubernetes, 2015-12-15."""
