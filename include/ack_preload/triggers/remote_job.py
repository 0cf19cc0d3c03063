"""Wait for a detached script on a machine, and stop it when its task is killed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ack_preload.domain.errors import NodeUnreachableError, PreloadError, RemoteJobError
from ack_preload.hooks.machine import Host, Machine, machine
from ack_preload.hooks.ssh_calls import last_lines
from ack_preload.triggers.probes import Observation, Probe, Subject
from ack_preload.triggers.progress import Progress
from ack_preload.triggers.state import StateTrigger

GIVE_UP_AFTER_S = 900.0
"""A machine that gives no answer for so long is lost: spot reclaim, or released by its expiry."""
LOOK_WITHIN_S = 30.0
STOP_WITHIN_S = 25.0
"""Airflow gives ``on_kill`` 30 s; ``job.sh`` kills what has not ended after 10."""
RUNNING = "running"


def machine_of(subject: Subject, conn_id: str) -> Machine:
    return machine(Host.from_mapping(subject), conn_id)


def observe(stdout: str) -> Observation:
    """Read what ``job.sh state`` prints: a JSON line, then the last words of a failed script.

    :raises NodeUnreachableError: when it is not that: no answer, rather than a wrong one.
    """
    line, _, talk = stdout.partition("\n")
    try:
        found: dict[str, Any] = json.loads(line)
        state, detail = str(found["state"]), {"exit_code": found["exit"]}
    except (ValueError, KeyError, TypeError) as exc:
        raise NodeUnreachableError(f"job.sh said {line[:200]!r}, which is no state") from exc
    if found.get("progress"):
        detail["progress"] = found["progress"]
    if talk.strip():
        detail["error"] = last_lines(talk)
    return Observation(state, detail)


async def _state(subject: Subject, conn_id: str) -> Observation:
    there = machine_of(subject, conn_id)
    done = await there.arun_script("job.sh", "state", subject["job"], within_s=LOOK_WITHIN_S)
    try:
        return observe(done.checked().stdout)
    except RemoteJobError as exc:  # a full disk, say: it tells nothing about the job
        raise NodeUnreachableError(str(exc)) from exc


@asynccontextmanager
async def remote_job(conn_id: str) -> AsyncIterator[Probe]:
    """Job states in the words of ``job.sh``, and ``lost`` for a machine that stays silent.

    Subject: ``job``, ``owner``, ``task_id``, ``map_index``, and the machine as
    :class:`~ack_preload.hooks.host.Host`. A look opens its own connection, so that a lost one is
    nothing special.
    """
    silent_since: float | None = None
    progress = Progress()

    async def look(subject: Subject) -> Observation:
        nonlocal silent_since
        try:
            found = await _state(subject, conn_id)
        except NodeUnreachableError as exc:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since < GIVE_UP_AFTER_S:
                raise
            return Observation("lost", {"error": str(exc)})
        silent_since = None
        if "progress" in found.detail:
            is_last = found.state != RUNNING
            await progress.show(subject, found.detail["progress"], is_last=is_last)
        return found

    yield look


class RemoteJobTrigger(StateTrigger):
    """The wait for a remote job, whose work goes on without us, so that a kill must stop it.

    After a clear the new try may have taken the job over already; then it owns the job, and
    ``job.sh`` keeps it running.
    """

    async def on_kill(self) -> None:
        there = machine_of(self.subject, self.conn_id)
        job, owner = self.subject["job"], self.subject["owner"]
        try:
            done = await there.arun_script("job.sh", "stop", job, owner, within_s=STOP_WITHIN_S)
            self.log.info("%s on %s: %s", job, self.subject["address"], done.checked().stdout)
        except PreloadError as exc:
            # The teardown releases the machine, and its work with it.
            self.log.warning("%s on %s not stopped: %s", job, self.subject["address"], exc)
