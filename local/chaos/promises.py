"""Whether a green run did what it is green for. Each function returns what is not so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from ack_preload.domain.comparison import BASELINE, PRELOADED
from ack_preload.domain.images import ImageLock
from ack_preload.store import Run
from local.chaos.cases import BUILD, EXPORT, MEASURE, ROLLOUT
from local.chaos.judge import Scene
from local.chaos.neighbours import Account
from local.chaos.world import World
from local.cloud_files import TARGET

IMAGES_AT_LEAST = 2  # a live node runs some of the system's, and the workload is added


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
    return on_paper(world.state / "paper/snapshots" / record.snapshot_id, lock)


def on_paper(folder: Path, lock: ImageLock) -> list[str]:
    """Look into a snapshot of paper machines: every image by digest, every blob by its hash.

    One of real machines is proven by the canary that is rolled out from it.
    """
    if not folder.exists():
        return []
    tables = [json.loads(path.read_text()) for path in folder.rglob("paper-images.json")]
    there = {image["digest"] for table in tables for image in table.values()}
    found = [f"{i.reference} is not on the disk" for i in lock.images if i.digest not in there]
    for blob in folder.rglob("blobs/sha256/*"):
        if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name:
            found.append(f"blob {blob.name} is damaged")
    return found


def _rollout(world: World, run: Run, scene: Scene) -> list[str]:
    record = world.store.rollout_for_run(run)
    if record is None:
        return [f"no rollout of {run.run_id} is recorded"]
    found = []
    lock = world.store.lock(record.lock_digest)
    if lock is None or record.images_verified != len(lock.images):
        found.append(f"{record.images_verified} images were verified, not all of the lock")
    disk = last_disk(world.account, record.node_pool_id)
    if disk != record.snapshot_id:
        found.append(f"pool {record.node_pool_id} is on {disk}, recorded is {record.snapshot_id}")
    return found


def last_disk(account: Account, node_pool_id: str) -> str:
    """Return the snapshot on the last data disk of a node pool."""
    answer = account.cs.describe_cluster_node_pool_detail(account.facts["cluster_id"], node_pool_id)
    disks = answer.body.scaling_group.data_disks or []
    return str(disks[-1].snapshot_id) if disks else ""


def _measure(world: World, run: Run, scene: Scene) -> list[str]:
    samples = world.store.samples(run)
    found = []
    for arm in (BASELINE, PRELOADED):
        good = [each for each in samples if each.arm == arm and each.ready_latency_s is not None]
        if len(good) != 1:
            found.append(f"{len(good)} samples of {arm}, not 1")
    if any(each.pulled_bytes for each in samples if each.arm == PRELOADED):
        found.append("the preloaded node pulled")
    record = world.store.latest_comparison(TARGET)
    if record is None or record.run_id != run.run_id:
        found.append(f"no comparison of {run.run_id} is recorded")
    return found


CHECKS: dict[str, Callable[[World, Run, Scene], list[str]]] = {
    EXPORT: _export,
    BUILD: _build,
    ROLLOUT: _rollout,
    MEASURE: _measure,
}
