"""What machines download: images and the kubelet package."""
