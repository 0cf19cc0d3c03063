"""Generate the registry and packages of the local cloud once and keep them in a cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import random
import shutil
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.content.busybox import static_busybox
from emulator.content.catalogue import (
    IMAGES,
    KUBELET_PACKAGE,
    PAUSE_IMAGE,
    PRIVATE,
    SYSTEM_IMAGES,
    WORKLOAD_IMAGE,
    Image,
)
from emulator.content.errors import ContentError
from emulator.content.filling import MIB, prepare
from emulator.content.kubelet_package import write_kubelet_package
from emulator.content.layers import ENTRYPOINT, Blob, GeneratedFile, LayerFactory
from emulator.content.storage import RegistryStorage

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What the content depends on: a change of their source makes it anew.
_GENERATOR = ("archive", "catalogue", "filling", "images", "kubelet_package", "layers", "storage")
_FORGET_AFTER_S = 7 * 86400  # far longer than a local cloud stays up
_CREATED = "2025-02-20T00:00:00Z"


@dataclass(frozen=True, slots=True)
class _MediaTypes:
    manifest: str
    config: str
    layer: str


_DOCKER = _MediaTypes(
    manifest="application/vnd.docker.distribution.manifest.v2+json",
    config="application/vnd.docker.container.image.v1+json",
    layer="application/vnd.docker.image.rootfs.diff.tar.gzip",
)
_OCI = _MediaTypes(
    manifest="application/vnd.oci.image.manifest.v1+json",
    config="application/vnd.oci.image.config.v1+json",
    layer="application/vnd.oci.image.layer.v1.tar+gzip",
)
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Content:
    """What the registry and the package server hold."""

    registry_storage: Path
    private_storage: Path  # of the registry that wants a login
    packages_root: Path
    bytes_compressed: int  # all layers of all images, shared ones once
    files: int  # in them
    package_bytes: int  # of the kubelet package
    build_s: float  # what generating took, when it was
    system_images: tuple[str, ...] = tuple(image.reference for image in SYSTEM_IMAGES)
    """What a node needs to be Ready, the pause image among them; without a registry host."""
    workload_image: str = WORKLOAD_IMAGE
    pause_image: str = PAUSE_IMAGE
    private_image: str = PRIVATE.reference


def build_content(cache_dir: Path, scale: float = 1.0) -> Content:
    """Return the content at a scale; generate it unless the cache has it.

    Several processes may ask at once: one generates, the others wait for it. What is generated
    depends on the generator's source, on the scale, and on the host's busybox and zlib.

    :param scale: 1 is about 700 MiB of compressed layers; tests use 0.01.
    :raises ContentError: when busybox is missing, or for a scale that is not above 0.
    """
    if scale <= 0:
        raise ContentError(f"scale {scale:g} of the content must be above 0; 1 is full size")
    busybox = static_busybox()
    folder = cache_dir / f"content-{scale:g}-{_key(busybox, scale)}"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(f"{folder.suffix}.lock")):
        if not folder.is_dir():
            unfinished = folder.with_suffix(f"{folder.suffix}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _generate(unfinished, scale, busybox)
            unfinished.rename(folder)
            _forget_unused(cache_dir)
    os.utime(folder)
    facts = json.loads((folder / "facts.json").read_text())
    return Content(
        registry_storage=folder / "registry",
        private_storage=folder / "private",
        packages_root=folder / "packages",
        **facts,
    )


def _key(busybox: Path, scale: float) -> str:
    key = hashlib.sha256(f"{scale!r} {zlib.ZLIB_RUNTIME_VERSION}".encode())
    key.update(busybox.read_bytes())
    for module in _GENERATOR:
        key.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    return key.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops the lock with its process, so a killed one never blocks the next.
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_unused(cache_dir: Path) -> None:
    """Remove what older sources generated, once nobody asked for it for a week."""
    for folder in cache_dir.glob("content-*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _FORGET_AFTER_S:
            shutil.rmtree(folder)


def _generate(folder: Path, scale: float, busybox: Path) -> None:
    started = time.monotonic()
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    storage = RegistryStorage(folder / "registry")
    factory = LayerFactory(storage, scratch, scale)
    unique = list(dict.fromkeys(layer for image in IMAGES for layer in image.layers))
    prepare()
    # Threads share the two cores well: zlib, SHA-256 and file writes all run outside the GIL.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        package = pool.submit(write_kubelet_package, folder / "packages" / KUBELET_PACKAGE, scale)
        blobs = dict(zip(unique, pool.map(factory.generated, unique), strict=True))
    first = factory.busybox(busybox)
    used = {first.archive.digest: first}
    for image in IMAGES:
        middle = [blobs[layer] for layer in image.layers]
        last = _last_layer(factory, image, middle, scale)
        _publish(storage, image, [first, *middle, last])
        used |= {blob.archive.digest: blob for blob in (*middle, last)}
    _generate_private(folder / "private", scratch, scale, busybox)
    scratch.rmdir()
    facts = {
        "bytes_compressed": sum(blob.archive.size for blob in used.values()),
        "files": sum(blob.archive.files for blob in used.values()),
        "package_bytes": package.result().size,
        "build_s": round(time.monotonic() - started, 1),
    }
    (folder / "facts.json").write_text(json.dumps(facts))


def _generate_private(root: Path, scratch: Path, scale: float, busybox: Path) -> None:
    storage = RegistryStorage(root)
    factory = LayerFactory(storage, scratch, scale)
    middle = [factory.generated(layer) for layer in PRIVATE.layers]
    last = _last_layer(factory, PRIVATE, middle, scale)
    _publish(storage, PRIVATE, [factory.busybox(busybox), *middle, last])


def _last_layer(factory: LayerFactory, image: Image, middle: list[Blob], scale: float) -> Blob:
    if image.reference == PAUSE_IMAGE:
        return factory.pause()
    files = [file for blob in middle for file in blob.contents]
    return factory.entrypoint(image.reference, _sample(files, image.checked_mib * scale))


def _sample(files: list[GeneratedFile], mib: float) -> list[GeneratedFile]:
    """Pick files from all over the image, up to ``mib`` together."""
    left = int(mib * MIB)
    picked = []
    for file in random.Random(len(files)).sample(files, len(files)):  # noqa: S311  # repeatable
        if file.size <= left:
            picked.append(file)
            left -= file.size
    return sorted(picked, key=lambda file: file.name)


def _publish(storage: RegistryStorage, image: Image, blobs: list[Blob]) -> None:
    repository, _, tag = image.reference.rpartition(":")
    types = _OCI if image.is_index else _DOCKER
    config = storage.add_json(_config(image, blobs))
    manifest = {
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "config": {"mediaType": types.config, **config},
        "layers": [
            {"mediaType": types.layer, "size": blob.archive.size, "digest": blob.archive.digest}
            for blob in blobs
        ],
    }
    for digest in (config["digest"], *(blob.archive.digest for blob in blobs)):
        storage.link_blob(repository, digest)
    described = {"mediaType": types.manifest, **storage.add_json(manifest)}
    tagged = described["digest"]
    if image.is_index:
        storage.link_manifest(repository, tagged)
        tagged = storage.add_json(
            {
                "schemaVersion": 2,
                "mediaType": _OCI_INDEX,
                "manifests": [{**described, "platform": _platform()}],
            }
        )["digest"]
    storage.tag(repository, tag, tagged)


def _platform() -> dict[str, str]:
    machine = platform.machine()
    return {"architecture": _ARCHITECTURES.get(machine, machine), "os": sys.platform}


def _config(image: Image, blobs: list[Blob]) -> Mapping[str, Any]:
    entrypoint = "/pause" if image.reference == PAUSE_IMAGE else ENTRYPOINT
    return {
        **_platform(),
        "created": _CREATED,
        "config": {
            "Entrypoint": [entrypoint],
            "Env": ["PATH=/usr/local/bin:/bin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [blob.archive.diff_id for blob in blobs]},
        "history": [{"created": _CREATED, "created_by": "generated"} for _ in blobs],
    }
