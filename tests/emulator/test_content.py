"""The generated images and packages, at a tiny scale, served by the real registry."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.content.catalogue import KUBELET_PACKAGE
from emulator.content.errors import ContentError
from emulator.content.images import Content, build_content
from emulator.content.packages import PackagesProcess
from emulator.content.registry import RegistryProcess, digests
from tests.emulator.registries import ACCEPT, NEEDS, SCALE, free_port

pytestmark = [pytest.mark.slow, NEEDS]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return build_content(tmp_path_factory.mktemp("content"), SCALE)


@pytest.fixture
def registry(content: Content, tmp_path: Path) -> Iterator[RegistryProcess]:
    server = RegistryProcess(
        content.registry_storage, "127.0.0.1", free_port(), None, tmp_path / "registry.log"
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def packages(content: Content, tmp_path: Path) -> Iterator[PackagesProcess]:
    server = PackagesProcess(
        content.packages_root, "127.0.0.1", free_port(), None, tmp_path / "packages.log"
    )
    server.start()
    yield server
    server.stop()


def get(registry: RegistryProcess, path: str) -> httpx.Response:
    url = f"http://{registry.address}:{registry.port}/v2/{path}"
    return httpx.get(url, headers={"Accept": ACCEPT}).raise_for_status()


def manifest_of(registry: RegistryProcess, image: str) -> dict[str, Any]:
    """Return the manifest behind a tag, through an index if there is one."""
    repository, _, tag = image.rpartition(":")
    document: dict[str, Any] = get(registry, f"{repository}/manifests/{tag}").json()
    if "manifests" in document:
        digest = document["manifests"][0]["digest"]
        document = get(registry, f"{repository}/manifests/{digest}").json()
    return document


def test_every_tag_answers_with_the_digest_that_the_storage_names(
    content: Content, registry: RegistryProcess
) -> None:
    known = digests(content.registry_storage)

    assert set(known) == {*content.system_images, content.workload_image}
    for image, digest in known.items():
        repository, _, tag = image.rpartition(":")
        answer = get(registry, f"{repository}/manifests/{tag}")
        assert answer.headers["Docker-Content-Digest"] == digest
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest


def test_every_blob_of_an_image_has_the_digest_and_size_of_its_manifest(
    content: Content, registry: RegistryProcess
) -> None:
    repository = content.workload_image.rpartition(":")[0]
    manifest = manifest_of(registry, content.workload_image)

    for blob in (manifest["config"], *manifest["layers"]):
        data = get(registry, f"{repository}/blobs/{blob['digest']}").content
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == blob["digest"]
        assert len(data) == blob["size"]


def test_the_workload_image_has_fourteen_layers_and_an_index(
    content: Content, registry: RegistryProcess
) -> None:
    repository, _, tag = content.workload_image.rpartition(":")

    assert "manifests" in get(registry, f"{repository}/manifests/{tag}").json()
    assert len(manifest_of(registry, content.workload_image)["layers"]) == 14


def test_system_images_share_base_layers(content: Content, registry: RegistryProcess) -> None:
    layers = [
        layer["digest"]
        for image in content.system_images
        for layer in manifest_of(registry, image)["layers"]
    ]

    assert len(content.system_images) == 9
    assert len(set(layers)) <= len(layers) * 2 / 3


def test_diff_ids_are_those_of_the_unpacked_layers(
    content: Content, registry: RegistryProcess
) -> None:
    repository = content.workload_image.rpartition(":")[0]
    manifest = manifest_of(registry, content.workload_image)
    config = get(registry, f"{repository}/blobs/{manifest['config']['digest']}").json()

    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        packed = get(registry, f"{repository}/blobs/{layer['digest']}").content
        plain = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
        assert f"sha256:{hashlib.sha256(plain.stdout).hexdigest()}" == diff_id


def test_the_same_content_comes_out_twice(content: Content, tmp_path: Path) -> None:
    again = build_content(tmp_path, SCALE)

    assert digests(again.registry_storage) == digests(content.registry_storage)
    package = (again.packages_root / KUBELET_PACKAGE).read_bytes()
    assert package == (content.packages_root / KUBELET_PACKAGE).read_bytes()


def test_another_scale_has_other_digests_and_its_own_folder(
    content: Content, tmp_path: Path
) -> None:
    other = build_content(tmp_path, SCALE / 2)

    workload = content.workload_image
    assert digests(other.registry_storage)[workload] != digests(content.registry_storage)[workload]
    assert other.bytes_compressed < content.bytes_compressed


def test_processes_that_ask_at_once_generate_once(tmp_path: Path) -> None:
    found: list[Content] = []
    askers = [
        threading.Thread(target=lambda: found.append(build_content(tmp_path, 0.002)))
        for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert found[0] == found[1]  # build_s too, so one was read from the cache
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_what_a_killed_process_left_is_generated_anew(tmp_path: Path) -> None:
    first = build_content(tmp_path, 0.002)
    folder = first.registry_storage.parent
    folder.rename(folder.with_name(f"{folder.name}.unfinished"))
    (folder.with_name(f"{folder.name}.unfinished") / "facts.json").unlink()

    again = build_content(tmp_path, 0.002)

    assert digests(again.registry_storage) == digests(first.registry_storage)
    assert not folder.with_name(f"{folder.name}.unfinished").exists()


def test_content_that_nobody_asked_for_in_a_week_is_forgotten(tmp_path: Path) -> None:
    folders = [build_content(tmp_path, scale).registry_storage.parent for scale in (0.001, 0.002)]
    os.utime(folders[0], (0, 0))
    build_content(tmp_path, 0.003)

    assert [folder.exists() for folder in folders] == [False, True]


@pytest.mark.parametrize("scale", [0, -1])
def test_a_scale_of_nothing_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ContentError, match="must be above 0"):
        build_content(tmp_path, scale)


def test_served_bytes_are_counted_by_client(content: Content, registry: RegistryProcess) -> None:
    repository = content.workload_image.rpartition(":")[0]
    before = registry.bytes_served("127.0.0.1")
    layer = manifest_of(registry, content.workload_image)["layers"][-1]
    after_manifest = registry.bytes_served("127.0.0.1")
    get(registry, f"{repository}/blobs/{layer['digest']}")

    assert before == 0
    assert registry.bytes_served() - after_manifest == layer["size"]
    assert registry.bytes_served("198.18.0.7") == 0


def test_nothing_can_be_pushed(registry: RegistryProcess) -> None:
    url = f"http://{registry.address}:{registry.port}/v2/acs/pause/blobs/uploads/"

    assert httpx.post(url).status_code == 405


def test_the_kubelet_package_unpacks_as_the_procedure_expects(
    packages: PackagesProcess, tmp_path: Path
) -> None:
    url = f"http://{packages.address}:{packages.port}/{KUBELET_PACKAGE}"
    archive = tmp_path / "kubernetes.tar.gz"
    archive.write_bytes(httpx.get(url).raise_for_status().content)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")

    unpacked = tmp_path / "pkg" / "kubernetes"
    assert (unpacked / "bin" / "kubelet").stat().st_mode & 0o111
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=unpacked, check=True)
    assert packages.bytes_served("127.0.0.1") == archive.stat().st_size


@pytest.mark.parametrize(
    "key",
    ["public/", "", "nothing.tar.gz", "../facts.json", "%2e%2e/facts.json"],
    ids=["a folder", "the root", "missing", "above the root", "above the root, encoded"],
)
def test_what_is_no_object_is_answered_as_oss_does(packages: PackagesProcess, key: str) -> None:
    answer = raw_get(packages, f"/{key}")

    assert answer.startswith("HTTP/1.0 404")
    assert "<Code>NoSuchKey</Code>" in answer


def raw_get(server: PackagesProcess, target: str) -> str:
    """Ask without a client that would tidy up the path."""
    with socket.create_connection((server.address, server.port)) as connection:
        connection.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_a_taken_port_is_an_error_that_says_so(
    content: Content, registry: RegistryProcess, tmp_path: Path
) -> None:
    second = RegistryProcess(
        content.registry_storage, "127.0.0.1", registry.port, None, tmp_path / "second.log"
    )
    with pytest.raises(ContentError, match="is taken; stop what listens"):
        second.start()

    assert second.pid is None


def test_a_stopped_server_is_gone_and_stopping_twice_is_fine(
    content: Content, tmp_path: Path
) -> None:
    server = PackagesProcess(
        content.packages_root, "127.0.0.1", free_port(), None, tmp_path / "log"
    )
    server.start()
    pid = server.pid
    server.stop()
    server.stop()

    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def test_the_registry_config_is_kept_beside_its_log(registry: RegistryProcess) -> None:
    config = json.loads(registry.log.with_suffix(".yml").read_text())

    assert config["storage"]["maintenance"]["readonly"] == {"enabled": True}
