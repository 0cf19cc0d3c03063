"""Whether a green run did what it is green for. Each function returns what is not so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from ack_preload.domain.comparison import BASELINE, PRELOADED
from ack_preload.domain.images import ImageLock
from ack_preload.store import Run
from local.chaos.cases import BUILD, EXPORT, MEASURE, ROLLOUT, TEARDOWNS
from local.chaos.judge import Scene
from local.chaos.world import World, last_disk, pool_disks
from local.cloud_files import TARGET

IMAGES_AT_LEAST = 2  # a live node runs some of the system's, and the workload is added


AT_THE_END = frozenset({*TEARDOWNS, "delete_key_pair", "watch_run"})
"""Where only these are red, the work was done."""


def undone(world: World, run: Run, red: Collection[str], scene: Scene) -> list[str]:
    """Return what a red run changed for good or recorded; one that only ended badly, broke.

    A pool that it made and did not take back is told as left to the sweep.
    """
    if red and AT_THE_END.issuperset(red):
        return broken(world, run, scene)
    found = []
    if record := world.store.snapshot_for_run(run):
        found.append(f"{record.snapshot_id} is recorded by a run that is red at {sorted(red)}")
    if world.store.rollout_for_run(run):
        found.append(f"a rollout is recorded by a run that is red at {sorted(red)}")
    return found + changed_disks(world.disks, pool_disks(world.account))


def changed_disks(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name each node pool that was there and has another last data disk now, or is gone."""
    return [
        f"pool {pool_id} was on {disk or 'a blank disk'} and is {_on(now.get(pool_id))}"
        for pool_id, disk in sorted(before.items())
        if now.get(pool_id) != disk
    ]


def _on(disk: str | None) -> str:
    return "gone" if disk is None else f"on {disk or 'a blank disk'}"


def broken(world: World, run: Run, scene: Scene) -> list[str]:
    """Return what a green run of a DAG promised and did not keep."""
    check = CHECKS.get(run.dag_id)
    return check(world, run, scene) if check else []


def _export(world: World, run: Run, scene: Scene) -> list[str]:
    lock = world.store.latest_lock(TARGET)
    if lock is None or lock.run_id != run.run_id:
        return [f"no image lock of {run.run_id} is recorded"]
    found = []
    if lock.images < IMAGES_AT_LEAST:
        found.append(f"image lock {lock.digest} has {lock.images} images")
    if world.exported and lock.digest != world.exported:
        found.append(f"image lock is {lock.digest}; the same node gave {world.exported}")
    return found


def _build(world: World, run: Run, scene: Scene) -> list[str]:
    record = world.store.snapshot_for_run(run)
    if record is None:
        return [f"no snapshot of {run.run_id} is recorded"]
    there = scene.resources.get(f"snapshot {record.snapshot_id}")
    if there is None or there["state"] != "accomplished":
        return [f"snapshot {record.snapshot_id} is recorded and {there and there['state']}"]
    lock = world.store.lock(record.lock_digest)
    if lock is None:
        return [f"image lock {record.lock_digest} of {record.snapshot_id} is not in the history"]
    if world.lock_digest and record.lock_digest != world.lock_digest:
        return [f"{record.snapshot_id} holds lock {record.lock_digest}, not the newest"]
    if not (world.state / "paper").is_dir():
        return []  # a real disk: proven where a rollout follows, see ``Case.then``
    return on_paper(world.state / "paper/snapshots" / record.snapshot_id, lock)


def on_paper(folder: Path, lock: ImageLock) -> list[str]:
    """Look into a snapshot of paper machines: every image with all that its manifest names."""
    if not folder.exists():
        return [f"{folder.name} has no content"]
    tables = [json.loads(path.read_text()) for path in folder.rglob("paper-images.json")]
    there = {image["digest"] for table in tables for image in table.values()}
    found = [f"{i.reference} is not on the disk" for i in lock.images if i.digest not in there]
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in folder.rglob("blobs/sha256/*")}
    for digest, content in blobs.items():
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            found.append(f"blob {digest} is damaged")
    for image in lock.images:
        found += [
            f"{image.reference} lacks blob {digest}"
            for digest in _parts(image.digest, blobs)
            if digest not in blobs
        ]
    return found


def _parts(digest: str, blobs: Mapping[str, bytes]) -> list[str]:
    """Return the digests of a manifest, its config and its layers."""
    try:
        manifest = json.loads(blobs[digest])
        named = [manifest["config"], *manifest["layers"]]
    except (KeyError, ValueError):  # not there, or damaged: said already, or by the caller
        return [digest]
    return [digest, *(str(each["digest"]) for each in named)]


def _rollout(world: World, run: Run, scene: Scene) -> list[str]:
    record = world.store.rollout_for_run(run)
    if record is None:
        return [f"no rollout of {run.run_id} is recorded"]
    found = []
    lock = world.store.lock(record.lock_digest)
    if lock is None or record.images_verified != len(lock.images):
        found.append(f"{record.images_verified} images were verified, not all of the lock")
    disk = last_disk(world.account, record.node_pool_id)
    newest = world.store.latest_snapshot(TARGET)
    if newest is None or newest.snapshot_id != record.snapshot_id:
        found.append(f"{record.snapshot_id} was rolled out, not the newest: {newest}")
    if disk != record.snapshot_id:
        found.append(f"pool {record.node_pool_id} is on {disk}, recorded is {record.snapshot_id}")
    return found


def _measure(world: World, run: Run, scene: Scene) -> list[str]:
    samples = world.store.samples(run)
    found = []
    for arm in (BASELINE, PRELOADED):
        good = [each for each in samples if each.arm == arm and each.ready_latency_s is not None]
        if len(good) != 1:
            found.append(f"{len(good)} samples of {arm}, not 1")
    found += wrong_pulls((each.arm, each.pulled_bytes) for each in samples)
    record = world.store.latest_comparison(TARGET)
    if record is None or record.run_id != run.run_id:
        found.append(f"no comparison of {run.run_id} is recorded")
    return found


def wrong_pulls(samples: Iterable[tuple[str, int | None]]) -> list[str]:
    """Return what shows that an arm was not on its disk, of pairs of arm and bytes pulled."""
    pulled = list(samples)
    found = []
    if any(count for arm, count in pulled if arm == PRELOADED):
        found.append("the preloaded node pulled")
    if any(count == 0 for arm, count in pulled if arm == BASELINE):
        found.append("the baseline node pulled nothing: it was no baseline")
    return found


CHECKS: dict[str, Callable[[World, Run, Scene], list[str]]] = {
    EXPORT: _export,
    BUILD: _build,
    ROLLOUT: _rollout,
    MEASURE: _measure,
}
