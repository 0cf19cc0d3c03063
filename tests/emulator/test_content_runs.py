"""The generated images run, and their servers work inside a network namespace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.content.catalogue import KUBELET_PACKAGE
from emulator.content.errors import ContentError
from emulator.content.images import Content, build_content
from emulator.content.packages import PackagesProcess
from emulator.content.registry import RegistryProcess, digests

pytestmark = [
    pytest.mark.machine,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0
        or not all(map(shutil.which, ("docker-registry", "busybox", "chroot", "ip", "nsenter"))),
        reason="needs root, docker-registry, busybox-static and iproute2",
    ),
]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return build_content(tmp_path_factory.mktemp("content"), 0.01)


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"ackp-content-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def blob(content: Content, digest: str) -> Path:
    hexadecimal = digest.removeprefix("sha256:")
    blobs = content.registry_storage / "docker/registry/v2/blobs/sha256"
    return blobs / hexadecimal[:2] / hexadecimal / "data"


def unpack(content: Content, image: str, root: Path) -> dict[str, Any]:
    """Unpack an image's layers and return its config."""
    manifest = json.loads(blob(content, digests(content.registry_storage)[image]).read_text())
    if "manifests" in manifest:
        manifest = json.loads(blob(content, manifest["manifests"][0]["digest"]).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blob(content, layer["digest"])) as tar:
            tar.extractall(root, filter="tar")
    image_config = json.loads(blob(content, manifest["config"]["digest"]).read_text())
    run_config: dict[str, Any] = image_config["config"]
    return run_config


def started(root: Path, config: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(shutil.which("chroot")), root, *config["Entrypoint"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(entry.split("=", 1) for entry in config["Env"]),
    )


@pytest.mark.parametrize("which", ["workload_image", "system"])
def test_an_image_says_ready_and_stays_until_it_is_told_to_stop(
    content: Content, tmp_path: Path, which: str
) -> None:
    image = content.workload_image if which == "workload_image" else content.system_images[1]
    with started(tmp_path, unpack(content, image, tmp_path)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0


def test_the_pause_image_stays_until_it_is_told_to_stop(content: Content, tmp_path: Path) -> None:
    with started(tmp_path, unpack(content, content.pause_image, tmp_path)) as running:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=0.3)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0


def test_a_damaged_file_keeps_the_workload_from_getting_ready(
    content: Content, tmp_path: Path
) -> None:
    config = unpack(content, content.workload_image, tmp_path)
    checked = (tmp_path / "etc" / "checked.sha256").read_text().splitlines()
    assert len(checked) > 10
    damaged = checked[0].split()[1]
    (tmp_path / damaged).write_bytes(b"")

    with started(tmp_path, config) as running:
        _, errors = running.communicate(timeout=10)

    assert running.returncode == 1
    assert f"files of this image are damaged: {damaged}: FAILED" in errors


def test_servers_listen_inside_their_namespace_only(
    content: Content, netns: str, tmp_path: Path
) -> None:
    registry = RegistryProcess(
        content.registry_storage, "127.0.0.1", 5000, netns, tmp_path / "registry.log"
    )
    packages = PackagesProcess(
        content.packages_root, "127.0.0.1", 8080, netns, tmp_path / "packages.log"
    )
    registry.start()
    packages.start()
    try:
        url = f"http://127.0.0.1:8080/{KUBELET_PACKAGE}"
        inside = ["ip", "netns", "exec", netns, "busybox", "wget", "-q", "-O", "-", url]
        fetched = subprocess.run(inside, capture_output=True, check=True).stdout
        own_namespace = Path("/proc/self/ns/net").readlink()
        namespaces = {
            Path(f"/proc/{server.pid}/ns/net").readlink() for server in (registry, packages)
        }
    finally:
        packages.stop()
        registry.stop()

    assert len(fetched) == content.package_bytes
    assert packages.bytes_served("127.0.0.1") == len(fetched)
    assert len(namespaces) == 1
    assert own_namespace not in namespaces


def test_a_namespace_that_is_not_there_is_an_error(content: Content, tmp_path: Path) -> None:
    server = PackagesProcess(
        content.packages_root, "127.0.0.1", 8080, "no-such-namespace", tmp_path / "log"
    )
    with pytest.raises(ContentError, match="no network namespace /run/netns/no-such-namespace"):
        server.start()
