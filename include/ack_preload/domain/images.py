"""Image references, what a node lists, and the image lock that a disk is built and proven by.

The grammar is that of container registries, a little narrower: every reference names its registry
host, as ``crictl images`` prints it. It is checked before a reference goes anywhere else.
https://github.com/distribution/reference
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ack_preload.domain.errors import InvalidInputError

LOCK_VERSION = 1
MAX_REFERENCE = 255 + 1 + 128 + 1 + 71  # repository, tag and digest with what joins them

_HOST_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST = rf"(?:localhost|{_HOST_PART}(?:\.{_HOST_PART})+|{_HOST_PART}(?=:[0-9]))(?::[0-9]{{1,5}})?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"

REFERENCE = re.compile(
    rf"(?P<repository>{_HOST}(?:/{_PATH_PART})+)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
DIGEST = re.compile(_DIGEST, re.ASCII)
PLATFORM = re.compile(r"linux/(amd64|arm64)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry-host[:port]/path[:tag][@sha256:...]``."""

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Take a reference apart.

        :raises InvalidInputError: for anything that is not one, hostile text included.
        """
        match = REFERENCE.fullmatch(text) if len(text) <= MAX_REFERENCE else None
        if match is None:
            raise InvalidInputError(
                f"image reference {text[:MAX_REFERENCE]!r} is not valid; write "
                "registry-host/repository:tag or registry-host/repository@sha256:<64 hex digits>"
            )
        return cls(match["repository"], match["tag"] or "", match["digest"] or "")

    @property
    def host(self) -> str:
        return self.repository.partition("/")[0]

    @property
    def path(self) -> str:
        return self.repository.partition("/")[2]

    @property
    def tagged(self) -> str:
        """Return the name without its digest: ``repository:tag``, or ``repository`` alone."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, slots=True)
class NodeImage:
    """One image as a node's container runtime knows it."""

    image_id: str  # the digest of its config
    tags: tuple[str, ...]  # repository:tag; none for a dangling image
    digests: tuple[str, ...]  # repository@sha256:...; none for an imported image
    size_bytes: int

    def digest_for(self, repository: str) -> str:
        """Return its manifest digest, best that of ``repository``; empty when it has none."""
        parsed = [ImageReference.parse(name) for name in self.digests]
        same = [name.digest for name in parsed if name.repository == repository]
        return next(iter(same or [name.digest for name in parsed]), "")


@dataclass(frozen=True, slots=True, order=True)
class LockedImage:
    """One name of one image, and exactly which content it stands for.

    :ivar reference: ``repository:tag``; the repository alone for an image without a tag.
    :ivar size_bytes: as the source node reports it, compressed; 0 when only a registry was asked.
    """

    reference: str
    digest: str
    size_bytes: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if ImageReference.parse(self.reference).digest:
            raise InvalidInputError(f"reference {self.reference}: give its digest separately")
        if not DIGEST.fullmatch(self.digest):
            raise InvalidInputError(
                f"{self.reference}: digest {self.digest!r} is not sha256:<64 hex digits>"
            )

    @property
    def pinned(self) -> str:
        """Return the name that can only mean this content: ``repository@sha256:...``."""
        return f"{ImageReference.parse(self.reference).repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class ImageLock:
    """What a preloaded disk holds: names with digests, sorted, each once."""

    images: tuple[LockedImage, ...]
    platform: str = "linux/amd64"

    def __post_init__(self) -> None:
        if not PLATFORM.fullmatch(self.platform):
            raise InvalidInputError(
                f"platform {self.platform!r} is not linux/amd64 or linux/arm64: no ECS node has it"
            )
        object.__setattr__(self, "images", tuple(sorted(set(self.images))))

    @property
    def digest(self) -> str:
        """Return ``sha256:...`` over platform, names and digests.

        Sizes are left out: they depend on who was asked, not on what is locked.
        """
        content = [[image.reference, image.digest] for image in self.images]
        canonical = json.dumps([LOCK_VERSION, self.platform, content], separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(image.digest for image in self.images)

    def image_list(self) -> str:
        """Return the tagged names in the procedure's format, one a line."""
        tagged = [i.reference for i in self.images if ImageReference.parse(i.reference).tag]
        return "".join(f"{reference}\n" for reference in tagged)

    def pull_list(self) -> str:
        """Return what ``pull_images.sh`` and ``seal_disk.sh`` read: digest, size, name a line."""
        return "".join(f"{i.digest} {i.size_bytes} {i.reference}\n" for i in self.images)

    def to_json(self) -> str:
        images = [
            {"reference": i.reference, "digest": i.digest, "size_bytes": i.size_bytes}
            for i in self.images
        ]
        return json.dumps({"version": LOCK_VERSION, "platform": self.platform, "images": images})

    @classmethod
    def from_json(cls, text: str) -> ImageLock:
        """Read what :meth:`to_json` wrote.

        :raises InvalidInputError: for another version, or text that is no lock.
        """
        try:
            content = json.loads(text)
            if content["version"] != LOCK_VERSION:
                raise InvalidInputError(
                    f"image lock of version {content['version']}: only {LOCK_VERSION} is known; "
                    "export the image list again"
                )
            images = tuple(
                LockedImage(str(i["reference"]), str(i["digest"]), int(i["size_bytes"]))
                for i in content["images"]
            )
            return cls(images, str(content["platform"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise InvalidInputError(f"not an image lock: {exc!r}; export it again") from exc


def parse_crictl_json(text: str) -> list[NodeImage]:
    """Read ``crictl images -o json``.

    :raises InvalidInputError: when it is not that, or a name in it is not a reference.
    """
    try:
        return [_node_image(entry) for entry in json.loads(text)["images"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidInputError(
            f"not the output of crictl images -o json: {exc!r}; is crictl of this node intact?"
        ) from exc


def _node_image(entry: Mapping[str, Any]) -> NodeImage:
    image = NodeImage(
        image_id=str(entry["id"]),
        tags=tuple(name for name in entry.get("repoTags") or () if "<none>" not in name),
        digests=tuple(name for name in entry.get("repoDigests") or () if "<none>" not in name),
        size_bytes=int(entry.get("size") or 0),
    )
    for name in (*image.tags, *image.digests):
        ImageReference.parse(name)
    return image


def parse_crictl_table(text: str) -> list[tuple[str, str]]:
    """Read image and tag of each row of ``crictl images --no-trunc``, in its order.

    ``<none>`` is kept as it is printed: the caller decides what it means.

    :raises InvalidInputError: when the first line is not the table's heading.
    """
    lines = text.splitlines()
    if not lines or lines[0].split()[:2] != ["IMAGE", "TAG"]:
        raise InvalidInputError(
            f"not the table of crictl images: it begins with {text[:60]!r}; is crictl installed?"
        )
    rows = []
    for line in lines[1:]:
        columns = line.split()
        if len(columns) >= 2:  # noqa: PLR2004  # image and tag
            rows.append((columns[0], columns[1]))
    return rows


def image_list(tables: Iterable[list[tuple[str, str]]]) -> str:
    """Return ``image_list.txt`` of one or several nodes: every tagged row once, in table order.

    Rows with ``<none>`` are left out: the procedure's own script writes them as ``name:<none>``,
    which nothing can pull. In the lock they are kept by digest.
    """
    names = dict.fromkeys(
        f"{image}:{tag}" for table in tables for image, tag in table if "<none>" not in (image, tag)
    )
    return "".join(f"{name}\n" for name in names)
