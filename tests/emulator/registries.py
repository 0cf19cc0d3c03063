"""What tests of generated content served by the real registry have in common."""

from __future__ import annotations

import shutil
import socket

import pytest

SCALE = 0.01
ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("docker.distribution.manifest.v2", "oci.image.manifest.v1", "oci.image.index.v1")
)
NEEDS = pytest.mark.skipif(
    shutil.which("docker-registry") is None or shutil.which("busybox") is None,
    reason="needs the Debian packages docker-registry and busybox-static",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
