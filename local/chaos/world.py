"""A local cloud for cases, with foreign neighbours, and what Airflow has to know of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ack_preload.domain.images import ImageLock
from ack_preload.store import Run, Store
from ack_preload.targets.load import PATH_VARIABLE
from emulator.app import running
from emulator.settings import Settings
from local.chaos.judge import Kept, Scene
from local.chaos.neighbours import Account, settle_down
from local.cloud_files import TARGET, connections, write_targets

IMAGES_OF_A_BUILD = 3
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
        write_targets(path, dict(self.account.facts), samples=1)
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
        """Return what our runs left on purpose, as the history has it."""
        rollout = self.store.latest_rollout(TARGET)
        return Kept(
            frozenset(each.snapshot_id for each in self.store.snapshots(TARGET)),
            frozenset([rollout.node_pool_id] if rollout else []),
        )


@contextlib.contextmanager
def world(folder: Path, machines: str, changes: Mapping[str, float]) -> Iterator[World]:
    """Run a local cloud with foreign resources in it for as long as the context is open.

    :param changes: of its settings.
    """
    folder.mkdir(parents=True)
    settings = INSTANT.changed([f"{name}={value}" for name, value in changes.items()])
    with running(folder / "cloud", settings=settings, machines=machines) as handle:
        account = Account(handle.facts)
        yield settled(account, folder / "cloud", folder / "history.db")


def settled(account: Account, state: Path, history: Path) -> World:
    """Place the neighbours, and remember what there is before our first run."""
    foreign = settle_down(account)
    return World(account, state, history, foreign, account.scene())
