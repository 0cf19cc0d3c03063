"""What paper machines pull and download: a catalogue, and a small registry and file server.

Image contents are a few bytes with real hashes; the sizes that tools report are those that the
images have on real machines, estimated. Served over HTTP on loopback, read only.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from emulator.content import faulty
from emulator.content.catalogue import (
    IMAGES,
    KUBELET_PACKAGE,
    PACKAGE_BINARIES_MIB,
    PRIVATE,
    SYSTEM_IMAGES,
    WORKLOAD_IMAGE,
    Image,
)
from emulator.content.login import Login, unauthorized
from emulator.faults import Faults

MEDIA = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_MEDIA = "application/vnd.docker.container.image.v1+json"
LAYER_MEDIA = "application/vnd.docker.image.rootfs.diff.tar"
MIB = 2**20
POLL_S = 0.05  # how long the server may take to notice that it is told to stop
PAUSE_BYTES = 300_000
# Rough share that compression leaves, by kind of content: see the layers of the catalogue.
SOURCE, LIBRARY, WEIGHTS = 0.33, 0.5, 1.0


def digest_of(content: bytes | str) -> str:
    data = content.encode() if isinstance(content, str) else content
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def catalogue_entry(registry: str, name: str, layers: tuple[str, ...], size: int) -> dict[str, Any]:
    """Return the entry of an image; the same name and layers give the same digests everywhere."""
    bodies = [f"paper layer {layer}\n" for layer in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"paper": name}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(body) for body in bodies]},
        }
    )
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA,
            "config": _descriptor(CONFIG_MEDIA, config),
            "layers": [_descriptor(LAYER_MEDIA, body) for body in bodies],
        }
    )
    return {
        "reference": f"{registry}/{name}",
        "digest": digest_of(manifest),
        "size": size,
        "config": digest_of(config),
        "blobs": {digest_of(text): text for text in (manifest, config, *bodies)},
    }


def _descriptor(media: str, text: str) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest_of(text), "size": len(text)}


def _entry(registry: str, image: Image, scale: float) -> dict[str, Any]:
    mib = sum(
        layer.source_mib * SOURCE + layer.library_mib * LIBRARY + layer.weights_mib * WEIGHTS
        for layer in image.layers
    )
    layers = tuple(layer.name for layer in image.layers) or ("pause",)
    size = int(mib * MIB * scale) or PAUSE_BYTES
    return catalogue_entry(registry, image.reference, layers, size)


def write_catalogue(path: Path, registry: str, private_registry: str, scale: float) -> None:
    entries = [_entry(registry, image, scale) for image in IMAGES]
    entries.append(_entry(private_registry, PRIVATE, scale))
    path.write_text(json.dumps({"images": entries}, indent=1))


def system_images(registry: str) -> tuple[str, ...]:
    return tuple(f"{registry}/{image.reference}" for image in SYSTEM_IMAGES)


def workload_image(registry: str) -> str:
    return f"{registry}/{WORKLOAD_IMAGE}"


def private_image(registry: str) -> str:
    return f"{registry}/{PRIVATE.reference}"


def kubelet_package() -> bytes:
    """Return a package with the names of the real one in it, and next to no contents."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name in PACKAGE_BINARIES_MIB:
            body = f"paper {name}\n".encode()
            member = tarfile.TarInfo(f"pkg/kubernetes/bin/{name}")
            member.size, member.mode = len(body), 0o755
            archive.addfile(member, io.BytesIO(body))
    return packed.getvalue()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to a request, faults and all."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: int | None = None  # of the body, where it is cut off under its full Content-Length


class ContentServer:
    """Serve the catalogue as a registry, and the kubelet package, on a loopback port.

    :param login: what the registry wants to see of everyone who asks; nothing when there is none.
    """

    def __init__(self, catalogue: Path, faults: Faults, login: Login | None = None) -> None:
        self._catalogue = catalogue
        self._faults = faults
        self._login = login
        self._host = ""
        self._package = kubelet_package()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> str:
        """Listen on a free port of loopback and return ``host:port``."""
        self._server = _Server(self.answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="paper-content"
        )
        self._thread.start()
        self._host = f"127.0.0.1:{self._server.server_port}"
        return self._host

    def close(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    def answer(
        self, path: str, start: int = 0, *, with_body: bool = True, authorization: str = ""
    ) -> Answer:
        """Answer a request for what is at a path, from byte ``start`` on; it counts for faults."""
        if (instead := faulty.refusal(self._faults, path)) is not None:
            return Answer(instead.status, instead.headers, instead.body)
        if self._login and not self._login.opens(authorization):
            return Answer(HTTPStatus.UNAUTHORIZED, *unauthorized(path))
        found = self._found(path)
        if found is None:
            body = b'{"errors":[{"code":"NOT_FOUND"}]}'
            return Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "application/json"}, body)
        media, body = found
        headers = {"Content-Type": media}
        if media == MEDIA:
            headers["Docker-Content-Digest"] = digest_of(body)
        size = len(body)
        end = faulty.end_of_blob(self._faults, path, size) if with_body else size
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        status = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        return Answer(status, headers, body[start:], None if end == size else max(end - start, 0))

    def _found(self, path: str) -> tuple[str, bytes] | None:
        if path == f"/{KUBELET_PACKAGE}":
            return "application/gzip", self._package
        return registry_answer(self._catalogue, self._host, path)


class _Server(ThreadingHTTPServer):
    def __init__(self, answer: Callable[..., Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the emulator's stdout and stderr are its own."""

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        answer = self.server.answer(
            path,
            int(begin[1]) if begin else 0,
            with_body=with_body,
            authorization=self.headers.get("Authorization", ""),
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body[: answer.end])
        if answer.end is not None:
            self.close_connection = True


def registry_answer(catalogue: Path, host: str, path: str) -> tuple[str, bytes] | None:
    """Answer ``/v2/``, ``/v2/REPOSITORY/manifests/REFERENCE`` and ``.../blobs/DIGEST``."""
    if path in ("/v2", "/v2/"):
        return "application/json", b"{}"
    head, _, wanted = path.rpartition("/")
    repository, _, kind = head.removeprefix("/v2/").rpartition("/")
    for entry in json.loads(catalogue.read_text())["images"]:
        registry, _, reference = entry["reference"].partition("/")
        name, _, tag = reference.rpartition(":")
        if (registry, name) != (host, repository):
            continue
        if kind == "manifests" and wanted in (tag, entry["digest"]):
            return MEDIA, entry["blobs"][entry["digest"]].encode()
        if kind == "blobs" and wanted in entry["blobs"]:
            return "application/octet-stream", entry["blobs"][wanted].encode()
    return None
