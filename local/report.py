"""``report.json``: what one chain did, gained and left, from the history, Airflow and the cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from ack_preload.store import (
    ComparisonRecord,
    LockRecord,
    RolloutRecord,
    Run,
    SampleRecord,
    SnapshotRecord,
    Store,
)
from local.chain import Chain
from local.cost import build_instance
from local.leftovers import Kept

ARMS = ("baseline", "preloaded")
# What each setting of the local cloud stands for.
SIMULATED = {
    "instance_boot_s": "instance boot, before the machine starts",
    "instance_stop_s": "instance stop, before the machine is told",
    "agent_boot_s": "start of Cloud Assistant's agent, after its instance runs",
    "snapshot_upload_s": "snapshot upload, after the disk was cloned",
    "kubelet_registration_s": "kubelet start until it registers",
    "task_step_s": "ACK's own delay before it acts on a change",
    "lazy_disk_mb_per_s": "first read of each block of a disk from a snapshot, MB/s: slows the "
    "preloaded arm alone",
    "link_mb_per_s": "download rate of each machine, MB/s (real traffic, limited)",
    "paper_kubelet_package_s": "download of the kubelet package (paper machines)",
    "paper_image_s": "pull of each image (paper machines)",
}


class ReportError(Exception):
    """The history lacks something that a finished chain must have written."""


@dataclass(frozen=True, slots=True)
class History:
    """The records of one chain and one target."""

    lock: LockRecord
    snapshot: SnapshotRecord
    rollout: RolloutRecord
    comparison: ComparisonRecord
    samples: tuple[SampleRecord, ...]
    earlier_snapshots: frozenset[str]  # good ones of this target, which the sweep keeps

    @classmethod
    def read(cls, store: Store, target: str, chain: str) -> History:
        """Collect the records.

        :raises ReportError: naming the first one that is missing.
        """
        lock = store.lock_for_chain(target, chain)
        snapshot = store.snapshot_for_chain(target, chain)
        rollout = store.rollout_for_chain(target, chain)
        comparison = store.comparison_for_chain(target, chain)
        if lock is None or snapshot is None or rollout is None or comparison is None:
            found = {
                "image lock": lock,
                "snapshot": snapshot,
                "rollout": rollout,
                "comparison": comparison,
            }
            missing = ", ".join(name for name, record in found.items() if record is None)
            raise ReportError(f"the history has no {missing} of {target} in run {chain}")
        measured = Run(comparison.dag_id, comparison.run_id, comparison.chain)
        samples = store.samples(measured)
        earlier = frozenset(record.snapshot_id for record in store.snapshots(target))
        return cls(lock, snapshot, rollout, comparison, tuple(samples), earlier)

    @property
    def kept(self) -> Kept:
        return Kept(
            snapshots=self.earlier_snapshots | {self.snapshot.snapshot_id},
            node_pools=frozenset({self.rollout.node_pool_id}),
        )


def arm(samples: Sequence[SampleRecord]) -> dict[str, Any]:
    """Return one arm, sample by sample; what was never reached is absent, and counted."""
    return {
        "n": len(samples),
        "ready_latency_s": [s.ready_latency_s for s in samples if s.ready_latency_s is not None],
        "pulled_bytes": [s.pulled_bytes for s in samples],
        "never_ready": sum(s.never_ready for s in samples),
        "workload_start_s": [s.workload_start_s for s in samples if s.workload_start_s is not None],
    }


def simulated(settings: Mapping[str, float], machines: str) -> list[dict[str, Any]]:
    """Return what was simulated, each with the setting that says how long it took."""
    found: list[dict[str, Any]] = [
        {"what": SIMULATED.get(name, name.replace("_", " ")), "setting": name, "value": value}
        for name, value in settings.items()
    ]
    if machines == "paper":
        what = "all work of machines: no disk, no container runtime, no pull is real"
        found.append({"what": what, "setting": "--machines", "value": "paper"})
    return found


def stages(chain: Chain) -> list[dict[str, Any]]:
    """Return every task that ran, with the time from its start to its end."""
    found = []
    for stage in chain.stages:
        ran = [task for task in stage.tasks if task.started and task.seconds is not None]
        for task in sorted(ran, key=lambda task: str(task.started)):
            name = f"{task.dag_id}.{task.task_id}"
            if task.map_index >= 0:
                name += f"[{task.map_index}]"
            found.append({"name": name, "seconds": round(task.seconds or 0.0, 2)})
    return found


def build_report(
    history: History,
    chain: Chain,
    *,
    target: str,
    machines: str,
    settings: Mapping[str, float],
    left: Sequence[str],
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """Put the parts together."""
    arms = {name: arm([s for s in history.samples if s.arm == name]) for name in ARMS}
    locked = json.loads(history.lock.content)["images"]
    return {
        "target": target,
        "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machines": machines,
        "run_id": chain.run_id,
        "seconds": chain.seconds,
        "images": [
            {
                "reference": image["reference"],
                "digest": image["digest"],
                "bytes": image["size_bytes"],
            }
            for image in locked
        ],
        "stages": stages(chain),
        "arms": arms,
        "speedup": _rounded(history.comparison.speedup),
        "workload_start_s": {name: arms[name]["workload_start_s"] for name in ARMS},
        "images_verified": history.rollout.images_verified,
        "snapshot_id": history.snapshot.snapshot_id,
        "node_pool_id": history.rollout.node_pool_id,
        "leftovers": len(left),
        "left": list(left),
        "cost": dict(cost),
        "simulated": simulated(settings, machines),
    }


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return what a good report must not show; empty for a good one."""
    found = []
    images, verified = len(report["images"]), report["images_verified"]
    if images == 0 or verified != images:
        found.append(f"{verified} of {images} images were proven by digest on the new node")
    if report["leftovers"]:
        found.append(f"paid resources are left: {', '.join(report['left'])}")
    if (at_once := build_instance(report["cost"])[1]) > 1:
        found.append(f"{at_once} build instances were alive at once")
    for name, figures in report["arms"].items():
        if figures["n"] == 0:
            found.append(f"the {name} arm has no sample")
        if figures["never_ready"]:
            found.append(f"{figures['never_ready']} nodes of the {name} arm never got Ready")
    pulled = report["arms"]["preloaded"]["pulled_bytes"]
    if any(size != 0 for size in pulled):
        found.append(f"preloaded nodes pulled images: {pulled} bytes")
    if report["speedup"] is None:
        found.append("there is no speed-up: an arm has no median")
    return found


def middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
