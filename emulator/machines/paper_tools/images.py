"""The image store of a paper machine: a table and content files below ``/var/lib/containerd``.

Content files lie where containerd keeps them, each named by its real hash, so that a script that
verifies them does real work. They are small: a size is what the catalogue says, not what is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.machines.paper_tools.machine import PaperRoot, ToolError, locked, write_json

CONTAINERD = "/var/lib/containerd"
BLOBS = "io.containerd.content.v1.content/blobs/sha256"
TABLE = "paper-images.json"

Images = dict[str, dict[str, Any]]
"""Config digest -> size, manifest digest, and names (``repo:tag`` and ``repo@sha256:...``)."""


@dataclass(frozen=True, slots=True)
class Name:
    """A reference taken apart: ``127.0.0.1:5000/acs/pause``, ``3.9``, ``sha256:...``."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, reference: str) -> Name:
        rest, _, digest = reference.partition("@")
        head, slash, last = rest.rpartition("/")
        last, _, tag = last.partition(":")
        if not tag and not digest:
            tag = "latest"
        return cls(f"{head}{slash}{last}", tag, digest)

    @property
    def canonical(self) -> str:
        """Return the name that a pull gives an image; containerd drops a tag beside a digest."""
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class ImageStore:
    """The images on the disk under one containerd folder."""

    folder: Path

    @classmethod
    def of(cls, root: PaperRoot) -> ImageStore:
        return cls(root.inside(CONTAINERD).resolve())

    def images(self) -> Images:
        path = self.folder / TABLE
        return json.loads(path.read_text()) if path.exists() else {}

    @contextmanager
    def changing(self) -> Iterator[Images]:
        """Yield the images for a change; written when the block ends well."""
        with locked(self.folder / "paper-images.lock"):
            images = self.images()
            yield images
            write_json(self.folder / TABLE, images)

    def find(self, reference: str) -> tuple[str, dict[str, Any]] | None:
        """Return config digest and facts of an image, by name, id, or start of an id."""
        name = Name.parse(reference).canonical
        for image_id, facts in self.images().items():
            bare = image_id.removeprefix("sha256:")
            if name in facts["names"] or reference == image_id or bare.startswith(reference):
                return image_id, facts
        return None

    def has(self, digest: str) -> bool:
        """Tell whether the content store holds a blob; what a lost write left empty is none."""
        path = self.folder / BLOBS / digest.removeprefix("sha256:")
        return path.exists() and path.stat().st_size > 0

    def add(self, reference: str, catalogued: dict[str, Any]) -> str:
        """Store the content of a catalogued image under its names; return its id."""
        name = Name.parse(reference)
        blobs = self.folder / BLOBS
        blobs.mkdir(parents=True, exist_ok=True)
        for digest, text in catalogued["blobs"].items():
            write_blob(blobs / digest.removeprefix("sha256:"), text.encode())
        names = {name.canonical, f"{name.repository}@{catalogued['digest']}"}
        with self.changing() as images:
            facts = images.setdefault(
                catalogued["config"],
                {"size": catalogued["size"], "digest": catalogued["digest"], "names": []},
            )
            facts["names"] = sorted({*facts["names"], *names})
        return str(catalogued["config"])

    def remove(self, reference: str) -> bool:
        found = self.find(reference)
        if found is None:
            return False
        with self.changing() as images:
            del images[found[0]]
        return True

    def tag(self, source: str, target: str) -> None:
        """Give an image a second name, as ``ctr images tag --force``.

        :raises ToolError: when there is no image called ``source``.
        """
        with self.changing() as images:
            for facts in images.values():
                facts["names"] = [name for name in facts["names"] if name != target] + (
                    [target] if source in facts["names"] else []
                )
            if not any(target in facts["names"] for facts in images.values()):
                raise ToolError(f'ctr: image "{source}": not found')

    def crictl_json(self) -> list[dict[str, Any]]:
        """Return the images with the field names and in the order of ``crictl images -o json``."""
        listed = [
            {
                "id": image_id,
                "repoTags": sorted(n for n in facts["names"] if "@" not in n),
                "repoDigests": sorted(n for n in facts["names"] if "@" in n),
                "size": str(facts["size"]),
                "uid": None,
                "username": "",
                "spec": None,
                "pinned": False,
            }
            for image_id, facts in self.images().items()
        ]
        return sorted(listed, key=lambda i: (i["repoTags"] or i["repoDigests"] or [i["id"]])[0])


def write_blob(path: Path, content: bytes) -> None:
    """Write a file that is named by its content: one write of a few bytes, never seen in half.

    Not replaced in two steps as other files: a node's images are a hundred of these.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(file, content)
        os.ftruncate(file, len(content))
    finally:
        os.close(file)


def look_up(catalogue: Path, reference: str) -> dict[str, Any] | None:
    """Return what the registry knows under a reference; ``None`` when it knows nothing.

    :raises ToolError: when the registry is down, which a missing catalogue stands for.
    """
    try:
        entries = json.loads(catalogue.read_text())["images"]
    except FileNotFoundError:
        raise ToolError("dial tcp: connect: connection refused") from None
    wanted = Name.parse(reference)
    for entry in entries:
        name = Name.parse(entry["reference"])
        if name.repository != wanted.repository:
            continue
        if wanted.digest == entry["digest"] or (not wanted.digest and wanted.tag == name.tag):
            found: dict[str, Any] = entry
            return found
    return None
