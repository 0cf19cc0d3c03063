"""A local cloud for cases, with foreign neighbours, and what Airflow has to know of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alibabacloud_cs20151215 import models as cs

from ack_preload.domain.images import ImageLock
from ack_preload.store import Run, Store
from ack_preload.targets.load import PATH_VARIABLE
from emulator.app import running
from emulator.settings import Settings
from local.chaos.bodies import Bodies, bodies
from local.chaos.judge import Kept, Scene
from local.chaos.neighbours import LAG_S, Account, settle_down
from local.cloud_files import TARGET, connections, targets

IMAGES_OF_A_BUILD = 3
KEEP_LAST = 3  # snapshots, as targets have it where nobody says otherwise
FIELDS = ("conn_type", "login", "password", "port")
POLL_EVERY_S = 0.25
VISIBLE_WITHIN_S = 0.2  # as long as reads may lag: they do not, unless a case says so
# No delays, and contents as small as they can be: what is tried is order and outcome, not speed.
INSTANT = Settings(
    instance_boot_s=0.0,
    instance_stop_s=0.0,
    snapshot_upload_s=0.0,
    kubelet_registration_s=0.0,
    task_step_s=0.0,
    content_scale=0.01,
    paper_kubelet_package_s=0.0,
    paper_image_s=0.0,
)


@dataclass(slots=True)
class World:
    """A running local cloud, and the history that goes with it.

    :ivar foreign: keys of what was there before our first run.
    """

    account: Account
    state: Path  # of the local cloud
    history: Path
    foreign: frozenset[str]
    first: Scene
    exported: str = ""  # digest of the image lock that the node gave without any fault
    lock_digest: str = ""  # of the lock that builds are to use
    bodies: Bodies = field(default_factory=dict)  # of what is foreign, as the API gave it then
    disks: Mapping[str, str] = field(default_factory=dict)  # of pools, before the run under fault
    min_age: timedelta = timedelta(days=1)  # younger snapshots are kept

    @property
    def store(self) -> Store:
        return Store(f"sqlite:///{self.history}")

    def connect(self, lag_s: float = 0.0) -> None:
        """Tell this process's Airflow of the cloud, by connections in the environment."""
        for each in connections(dict(self.account.facts)):
            extra = json.loads(each["extra"])
            if each["conn_type"] != "ssh":
                extra["poll_every_s"] = POLL_EVERY_S
                extra["visible_within_s"] = max(VISIBLE_WITHIN_S, 2 * lag_s)
            fields = {name: each[name] for name in FIELDS if name in each}
            name = f"AIRFLOW_CONN_{each['connection_id'].upper()}"
            os.environ[name] = json.dumps(fields | {"extra": extra})
        history = {"conn_type": "sqlite", "host": str(self.history)}
        os.environ["AIRFLOW_CONN_ACK_PRELOAD_STORE"] = json.dumps(history)
        path = self.history.with_name("targets.yaml")
        content = targets(dict(self.account.facts), samples=1)
        self.min_age = timedelta()  # so that the sweep retires snapshots within minutes
        content["targets"][0]["limits"] = {"min_snapshot_age_h": 0, "keep_snapshots": KEEP_LAST}
        path.write_text(json.dumps(content))  # which YAML is, too
        os.environ[PATH_VARIABLE] = str(path)

    def choose_lock(self, *, is_small: bool) -> None:
        """Remember what was exported; builds that nothing is rolled out from need less of it."""
        record = self.store.latest_lock(TARGET)
        if record is None:
            raise RuntimeError("nothing was exported")
        self.exported = self.lock_digest = record.digest
        lock = self.store.lock(record.digest)
        if is_small and lock is not None:
            small = ImageLock(lock.images[:IMAGES_OF_A_BUILD], lock.platform)
            run = Run(dag_id="export_image_list", run_id="chaos__small")
            self.store.put_lock(small, record.image_list, target=TARGET, run=run)
            self.lock_digest = small.digest

    def kept(self) -> Kept:
        """Return what is to stay: the last good snapshots, what pools name, the target's pool."""
        rollout = self.store.latest_rollout(TARGET)
        young = datetime.now(UTC) - self.min_age
        recorded = [(each.snapshot_id, each.created_at) for each in self.store.snapshots(TARGET)]
        named = {*pool_disks(self.account).values()}
        if rollout:
            named.add(rollout.previous_snapshot_id)
        return Kept(
            retained(recorded, KEEP_LAST, young, named),
            frozenset([rollout.node_pool_id] if rollout else []),
        )

    def retention(self, scene: Scene) -> list[str]:
        """Return what a sweep kept or deleted otherwise than it is to."""
        keep, alive = self.kept().snapshots, {line["id"] for line in scene.alive}
        recorded = [each.snapshot_id for each in self.store.snapshots(TARGET)]
        return [
            f"{each} is to be retired, and is there"
            for each in recorded
            if each in alive and each not in keep
        ] + [
            f"{each} is to be kept, and is gone"
            for each in recorded
            if each in keep and each not in alive
        ]


def retained(
    recorded: Sequence[tuple[str, datetime]], last: int, young: datetime, named: Collection[str]
) -> frozenset[str]:
    """Return which snapshots stay, of pairs of id and time, the newest first."""
    return frozenset(
        snapshot_id
        for place, (snapshot_id, created) in enumerate(recorded)
        if place < last or created > young or snapshot_id in named
    )


def pool_disks(account: Account) -> dict[str, str]:
    """Return the snapshot on the last data disk of every node pool that is listed."""
    request = cs.DescribeClusterNodePoolsRequest()
    answer = account.cs.describe_cluster_node_pools(account.facts["cluster_id"], request)
    found = {}
    for pool in answer.body.nodepools:
        disks = pool.scaling_group.data_disks or []
        snapshot_id = str(disks[-1].snapshot_id or "") if disks else ""
        found[str(pool.nodepool_info.nodepool_id)] = snapshot_id
    return found


def last_disk(account: Account, node_pool_id: str) -> str:
    """Return the snapshot on the last data disk of a node pool; empty: a blank one."""
    answer = account.cs.describe_cluster_node_pool_detail(account.facts["cluster_id"], node_pool_id)
    disks = answer.body.scaling_group.data_disks or []
    return str(disks[-1].snapshot_id or "") if disks else ""


@contextlib.contextmanager
def world(folder: Path, machines: str, changes: Mapping[str, float]) -> Iterator[World]:
    """Run a local cloud with foreign resources in it for as long as the context is open.

    :param changes: of its settings.
    """
    folder.mkdir(parents=True)
    settings = INSTANT.changed([f"{name}={value}" for name, value in changes.items()])
    with running(folder / "cloud", settings=settings, machines=machines) as handle:
        account = Account(handle.facts)
        lags = bool(changes.get("read_delay_s"))
        made = settled(account, folder / "cloud", folder / "history.db", lags=lags)
        if lags:
            account.advance(LAG_S)
        made.bodies = bodies(account, made.foreign)
        yield made


def settled(account: Account, state: Path, history: Path, *, lags: bool = True) -> World:
    """Place the neighbours, and remember what there is before our first run."""
    foreign = settle_down(account, lags=lags)
    return World(account, state, history, foreign, account.scene())
