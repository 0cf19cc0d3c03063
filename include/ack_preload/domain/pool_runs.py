"""What runs did to a node pool, written on it as tags, and what may be undone by whom.

A pool says which run made it, which run had it last, and, when that one changed its last data
disk, what the disk was before. It says so in the same call that makes the change: a note made
before or after it can be missing, or name a change that never was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ack_preload.domain.tags import (
    APPLIED_KEY,
    MAX_VALUE,
    PREVIOUS_KEY,
    RUN_KEY,
    is_of_installation,
    is_of_run,
)

Tags = Mapping[str, str]
ROLLOUT = "rollout"
"""The purpose of a pool that outlives its run; a pool of any other purpose expires."""
PREVIOUS_DISK_KEY = "ack-preload/previous-disk"
PARTS = 4
"""Tags for the description of a disk; one of every field that the API has needs fewer."""
MARK = "."
"""Before each part: a value must not start with what the cloud reserves, wherever it is cut."""


def holder(tags: Tags) -> str:
    """Return the run that had the pool last."""
    return tags.get(APPLIED_KEY) or tags.get(RUN_KEY, "")


def run_named(tag: str) -> tuple[str, str] | None:
    """Return the DAG id and the run id that a run tag is made of; ``None`` for one that was cut.

    A DAG id has no slash; a run id may have.
    """
    dag_id, slash, run_id = tag.partition("/")
    return (dag_id, run_id) if slash and run_id and len(tag) < MAX_VALUE else None


def is_only_of(tags: Tags, run: str, installation: str) -> bool:
    """Tell whether ``run`` made the pool and no other has had it since: then it may delete it."""
    return is_of_run(tags, run, installation) and APPLIED_KEY not in tags


def is_changed_by(tags: Tags, run: str, installation: str) -> bool:
    """Tell whether ``run`` was the last to have the pool, and the pool knows the disk before."""
    applied = tags.get(APPLIED_KEY) == run and is_of_installation(tags, installation)
    return applied and PREVIOUS_KEY in tags


def tags_of_change(
    tags: Tags, run: str, installation: str, before: Mapping[str, Any], *, settled: bool
) -> dict[str, str]:
    """Return the tags of a pool whose last data disk ``run`` changes from ``before``.

    What the run itself changed first stays the way back, so that a second try of a change, or a
    second change, does not take its own first for what served before it.

    :param settled: the run has recorded what the pool has now as good: that is the way back.
    """
    if not settled and (
        is_only_of(tags, run, installation) or is_changed_by(tags, run, installation)
    ):
        return dict(tags)
    return _forgotten(tags) | {APPLIED_KEY: run, **_noted(before)}


def tags_of_taking(tags: Tags, run: str, installation: str) -> dict[str, str]:
    """Return the tags of a pool that ``run`` takes as it is.

    It counts on the pool from now on: no run that had it before may undo what it did.
    """
    if is_only_of(tags, run, installation) or tags.get(APPLIED_KEY) == run:
        return dict(tags)
    return _forgotten(tags) | {APPLIED_KEY: run}


def tags_of_return(tags: Tags) -> dict[str, str]:
    """Return the tags of a pool that has its earlier disk again.

    Who had it last stays: the pool is no longer only of the run that made it.
    """
    return _forgotten(tags) | {k: v for k, v in tags.items() if k == APPLIED_KEY}


def disk_before(tags: Tags) -> dict[str, Any] | None:
    """Return the last data disk as it was, or ``None`` when its description is not there.

    A change that an earlier release made has noted the snapshot only.
    """
    text = "".join(tags.get(key, "").removeprefix(MARK) for key in _part_keys())
    try:
        disk = json.loads(text)
    except ValueError:
        return None
    if not isinstance(disk, dict):
        return None
    if snapshot_id := tags.get(PREVIOUS_KEY):
        disk["snapshot_id"] = snapshot_id
    return disk


def _noted(disk: Mapping[str, Any]) -> dict[str, str]:
    """Return a disk as tags. Its snapshot has one of its own: the sweep keeps what that names."""
    known = {k: v for k, v in disk.items() if v is not None}
    tags = {PREVIOUS_KEY: str(known.pop("snapshot_id", "") or "")}
    text = json.dumps(known, separators=(",", ":"), sort_keys=True)
    length = MAX_VALUE - len(MARK)
    parts = [MARK + text[start : start + length] for start in range(0, len(text), length)]
    if len(parts) > PARTS:  # the snapshot alone, as earlier releases did
        return tags
    return tags | dict(zip(_part_keys(), parts, strict=False))


def _part_keys() -> list[str]:
    return [PREVIOUS_DISK_KEY, *(f"{PREVIOUS_DISK_KEY}-{n}" for n in range(2, PARTS + 1))]


def _forgotten(tags: Tags) -> dict[str, str]:
    notes = {APPLIED_KEY, PREVIOUS_KEY, *_part_keys()}
    return {key: value for key, value in tags.items() if key not in notes}
