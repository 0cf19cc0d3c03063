"""The tables of crictl: columns of at least 20 characters, ids cut to 13, decimal sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

HEADER = ("IMAGE", "TAG", "IMAGE ID", "SIZE")
NONE = "<none>"
_COLUMN, _PADDING = 20, 3  # text/tabwriter's minimum width and padding, as crictl sets them
_ID_SHOWN = 13
_THOUSAND = 1000.0
_AGES = ((1, "second"), (60, "minute"), (3600, "hour"), (86400, "day"), (7 * 86400, "week"))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns as Go's text/tabwriter: the last one is not padded."""
    widths = [
        max(_COLUMN, max(len(row[column]) for row in rows) + _PADDING)
        for column in range(len(rows[0]))
    ]
    lines = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join([*padded, row[-1]]) + "\n")
    return "".join(lines)


def image_rows(image: Any, *, digests: bool, whole: bool) -> list[tuple[str, ...]]:
    """Return one row for each tag of an image; one without tags has a single row."""
    name, digest = _repo_digest(image.repo_digests)
    identifier = image.id if whole else truncated(image.id)
    shown_digest = digest if whole else truncated(digest)
    size = human_size(image.size)
    rows = []
    for repository, tag in _repo_tags(image.repo_tags, name):
        middle = (shown_digest,) if digests else ()
        rows.append((repository, tag, *middle, identifier, size))
    return rows


def _repo_digest(digests: Sequence[str]) -> tuple[str, str]:
    if not digests:
        return NONE, NONE
    name, _, digest = digests[0].partition("@")
    return name, digest


def _repo_tags(tags: Sequence[str], name: str) -> list[tuple[str, str]]:
    if not tags:
        return [(name, NONE)]
    pairs = [tag.rpartition(":")[::2] for tag in tags]
    return [(name if repository == NONE else repository, tag) for repository, tag in pairs]


def sort_key(image: Any) -> tuple[str, str, str]:
    first_tag = image.repo_tags[0] if image.repo_tags else ""
    first_digest = image.repo_digests[0] if image.repo_digests else ""
    return first_tag or first_digest, first_digest, image.id


def human_size(size_bytes: int) -> str:
    """Return a size as docker/go-units prints it with three digits: ``716kB``, ``1.24MB``."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < _THOUSAND:
            return f"{size:.3g}{unit}"
        size /= _THOUSAND
    return f"{size:.3g}TB"


def truncated(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:_ID_SHOWN]


def age(created_ns: int) -> str:
    """Return how long ago something was, in the largest unit of which there are two or more."""
    seconds = max(int(time.time() - created_ns / 1e9), 0)
    for size, unit in reversed(_AGES):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s ago"
    return "Less than a second ago" if not seconds else "1 second ago"
