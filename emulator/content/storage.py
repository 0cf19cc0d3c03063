"""The storage folder of docker-registry, written in place instead of pushed.

A push would copy every layer once more through HTTP. The layout is that of distribution 2.x:
https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/paths.go
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path("docker/registry/v2")


def digests(storage: Path) -> dict[str, str]:
    """Return ``repository:tag`` -> manifest digest of everything in a registry's storage."""
    repositories = storage / _ROOT / "repositories"
    return {
        f"{link.parents[4].relative_to(repositories)}:{link.parents[1].name}": link.read_text()
        for link in sorted(repositories.glob("**/_manifests/tags/*/current/link"))
    }


class RegistryStorage:
    """Blobs once, repositories that point at them."""

    def __init__(self, storage: Path) -> None:
        self._root = storage / _ROOT

    def blob_path(self, digest: str) -> Path:
        """Return where the bytes of a digest lie; the folder is made."""
        hexadecimal = digest.removeprefix("sha256:")
        folder = self._root / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "data"

    def add_json(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a config, manifest or index; return its descriptor but for the media type."""
        data = json.dumps(document, separators=(",", ":")).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blob_path(digest).write_bytes(data)
        return {"size": len(data), "digest": digest}

    def link_blob(self, repository: str, digest: str) -> None:
        """Let a repository serve a layer or config."""
        self._link(repository, "_layers", digest)

    def link_manifest(self, repository: str, digest: str) -> None:
        self._link(repository, "_manifests/revisions", digest)

    def tag(self, repository: str, tag: str, digest: str) -> None:
        self.link_manifest(repository, digest)
        self._link(repository, f"_manifests/tags/{tag}/index", digest)
        current = self._root / "repositories" / repository / "_manifests/tags" / tag / "current"
        current.mkdir(parents=True, exist_ok=True)
        (current / "link").write_text(digest)

    def _link(self, repository: str, kind: str, digest: str) -> None:
        algorithm, _, hexadecimal = digest.partition(":")
        folder = self._root / "repositories" / repository / kind / algorithm / hexadecimal
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)
