"""Wait for a detached script on a machine, and stop it when its task is killed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ack_preload.domain.errors import NodeUnreachableError, PreloadError
from ack_preload.hooks.node_ssh import Host, NodeSshHook
from ack_preload.hooks.ssh_calls import last_lines
from ack_preload.triggers.probes import Observation, Probe, Subject
from ack_preload.triggers.state import StateTrigger

GIVE_UP_AFTER_S = 900.0
"""A machine that gives no answer for so long is lost: spot reclaim, or released by its expiry."""
LOOK_WITHIN_S = 30.0


def hook_of(subject: Subject, conn_id: str) -> NodeSshHook:
    return NodeSshHook(Host.from_mapping(subject), conn_id=conn_id)


def observe(stdout: str) -> Observation:
    """Read what ``job.sh state`` prints: a JSON line, then the last words of a failed script."""
    line, _, talk = stdout.partition("\n")
    found: dict[str, Any] = json.loads(line)
    detail: dict[str, Any] = {"exit_code": found["exit"]}
    if found["progress"]:
        detail["progress"] = found["progress"]
    if talk.strip():
        detail["error"] = last_lines(talk)
    return Observation(found["state"], detail)


@asynccontextmanager
async def remote_job(conn_id: str) -> AsyncIterator[Probe]:
    """Job states in the words of ``job.sh``, and ``lost`` for a machine that stays silent.

    Subject: ``job``, ``owner``, and the machine as :class:`~ack_preload.hooks.node_ssh.Host`.
    A look opens its own connection, so that a lost one is nothing special.
    """
    silent_since: float | None = None

    async def look(subject: Subject) -> Observation:
        nonlocal silent_since
        hook = hook_of(subject, conn_id)
        try:
            done = await hook.arun_script("job.sh", "state", subject["job"], within_s=LOOK_WITHIN_S)
        except NodeUnreachableError as exc:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since < GIVE_UP_AFTER_S:
                raise
            return Observation("lost", {"error": str(exc)})
        silent_since = None
        return observe(done.checked().stdout)

    yield look


class RemoteJobTrigger(StateTrigger):
    """The wait for a remote job, whose work goes on without us, so that a kill must stop it.

    After a clear the new try may have taken the job over already; then it owns the job, and
    ``job.sh`` keeps it running.
    """

    async def on_kill(self) -> None:
        hook = hook_of(self.subject, self.conn_id)
        job, owner = self.subject["job"], self.subject["owner"]
        try:
            done = await hook.arun_script("job.sh", "stop", job, owner, within_s=LOOK_WITHIN_S)
            self.log.info("%s on %s: %s", job, self.subject["address"], done.checked().stdout)
        except PreloadError as exc:
            # The teardown releases the machine, and its work with it.
            self.log.warning("%s on %s not stopped: %s", job, self.subject["address"], exc)
