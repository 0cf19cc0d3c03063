"""Work on the machine of a build as tests start it: any script, as a job of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from ack_preload.hooks.host import Host
from ack_preload.hooks.machine import machine
from ack_preload.triggers.remote_job import RemoteJobTrigger, observe
from tests.emulated.preloading import Build


def host_of(build: Build, **changes: str) -> Host:
    known = {**build.machine, **changes}
    if "host_key" not in known:
        known["host_key"] = build.paper.ssh.host_key
    return Host(dag_id="build_preloaded_disk", run_id=build.run, **known)


def start_job(build: Build, name: str, text: str, stdin: bytes = b"", owner: str = "try1") -> str:
    """Start a script as a job; return what ``job.sh`` says."""
    sent = text.encode() + b"\0" + stdin
    digest = hashlib.sha256(sent).hexdigest()
    there = machine(host_of(build))
    started = there.run_script("job.sh", "start", name, owner, digest, "probe.sh", stdin=sent)
    return started.checked().stdout.strip()


def trigger_of(build: Build, name: str, owner: str = "try1", **changes: str) -> RemoteJobTrigger:
    """Return the trigger of such a job, as it comes out of Airflow's database."""
    task = {"job": name, "owner": owner, "task_id": "pull", "map_index": -1}
    kwargs = {
        "wait": "remote_job",
        "subject": {**task, **host_of(build, **changes).as_dict()},
        "conn_id": "alibabacloud_default",
        "deadline": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
        "every_s": 0.05,
    }
    return RemoteJobTrigger(**json.loads(json.dumps(kwargs)))


def killed(deferred: TaskDeferred | RemoteJobTrigger) -> None:
    """Do what the triggerer does when a deferred task is marked failed or cleared."""
    trigger = deferred.trigger if isinstance(deferred, TaskDeferred) else deferred
    _, kwargs = trigger.serialize()
    asyncio.run(RemoteJobTrigger(**json.loads(json.dumps(kwargs))).on_kill())


def state(build: Build, job: str) -> str:
    said = machine(host_of(build)).run_script("job.sh", "state", job).checked().stdout
    return observe(said).state


@contextmanager
def registry_down(build: Build) -> Iterator[None]:
    """Keep a pull going: it tries again for a while."""
    catalogue = build.cloud.cloud.machines._ground.catalogue  # type: ignore[attr-defined]  # paper's own
    away = catalogue.rename(catalogue.with_suffix(".away"))
    try:
        yield
    finally:
        away.rename(catalogue)


def files_of(build: Build) -> bytes:
    """Return all that is on the machine's system disk."""
    folder = build.paper.root.folder
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def job_of(deferred: TaskDeferred) -> str:
    subject: dict[str, Any] = deferred.trigger.subject
    return str(subject["job"])
