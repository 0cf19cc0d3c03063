"""Detached work on a machine: whose it is, who stops it, and what a lost machine looks like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import InvalidInputError, NodeUnreachableError
from ack_preload.hooks.node_ssh import Host, NodeSshHook
from ack_preload.triggers import remote_job
from ack_preload.triggers.remote_job import RemoteJobTrigger, observe
from emulator.app import Handle
from tests.emulated.driving import context, deferred_by, fired, perform
from tests.emulated.preloading import Build, connect

pytestmark = pytest.mark.slow  # every step is a few SSH connections


@pytest.fixture
def build(cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a build that is ready to pull."""
    connect(cloud, tmp_path / "history.db", monkeypatch)
    made = Build(cloud)
    made.prepare()
    made.install()
    return made


@contextmanager
def registry_down(build: Build) -> Iterator[None]:
    """Keep a pull going: it tries again for a while."""
    catalogue = build.cloud.cloud.machines._ground.catalogue  # type: ignore[attr-defined]  # paper's own
    away = catalogue.rename(catalogue.with_suffix(".away"))
    yield
    away.rename(catalogue)


def killed(deferred: TaskDeferred) -> None:
    """Do what the triggerer does when a deferred task is marked failed or cleared."""
    _, kwargs = deferred.trigger.serialize()
    asyncio.run(RemoteJobTrigger(**json.loads(json.dumps(kwargs))).on_kill())


def state(deferred: TaskDeferred) -> str:
    subject = deferred.trigger.subject
    hook = NodeSshHook(Host.from_mapping(subject))
    return observe(hook.run_script("job.sh", "state", subject["job"]).checked().stdout).state


def test_a_kill_stops_the_work_of_its_own_try(build: Build) -> None:
    with registry_down(build):
        deferred = deferred_by(build.pulling())
        assert state(deferred) == "running"
        killed(deferred)
        assert state(deferred) == "failed"


def test_a_late_kill_leaves_the_work_of_the_next_try_alone(build: Build) -> None:
    with registry_down(build):
        first = deferred_by(build.pulling())
        second = deferred_by(build.pulling(), context(try_number=2))
        killed(first)
        assert state(second) == "running"
        killed(second)


def test_work_that_a_stalled_triggerer_stopped_goes_on(build: Build) -> None:
    operator = build.pulling()
    with registry_down(build):
        deferred = deferred_by(operator)
        killed(deferred)
    event = fired(deferred)
    assert event["detail"]["exit_code"] == 143
    with pytest.raises(TaskDeferred) as again:
        operator.resume(context(), event)
    assert operator.resume(context(), fired(again.value))["images"] == 10


def test_a_cleared_task_does_its_work_again(build: Build) -> None:
    first, cleared = deferred_by(build.pulling()), context(max_tries=3, try_number=2)
    assert (
        first.trigger.subject["job"] != deferred_by(build.pulling(), cleared).trigger.subject["job"]
    )
    assert perform(build.pulling(), cleared)["images"] == 10


def test_another_host_key_than_the_first_is_refused(build: Build) -> None:
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    build.machine["host_key"] = foreign
    with pytest.raises(NodeUnreachableError, match=r"Host key for server .* does not match"):
        build.pulling().execute(context())


def test_the_trigger_refuses_another_host_key_too(build: Build) -> None:
    deferred = deferred_by(build.pulling())
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    host = Host.from_mapping({**deferred.trigger.subject, "host_key": foreign})
    with pytest.raises(NodeUnreachableError, match="Host key is not trusted"):
        asyncio.run(NodeSshHook(host).arun_script("job.sh", "state", "x"))
    assert fired(deferred)["verdict"] == "done"


def test_without_the_host_key_nothing_is_sent(build: Build) -> None:
    build.machine["host_key"] = ""
    with pytest.raises(InvalidInputError, match=r"host_key of .* is empty"):
        build.pulling().execute(context())


def test_a_machine_that_is_gone_keeps_the_wait_pending(build: Build) -> None:
    deferred = deferred_by(build.pulling())
    build.stop()
    deferred.trigger.deadline = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    event = fired(deferred)
    assert (event["verdict"], event["state"]) == ("pending", "unknown: no look succeeded")


def test_a_machine_that_stays_silent_is_lost(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    deferred = deferred_by(build.pulling())
    build.stop()
    monkeypatch.setattr(remote_job, "GIVE_UP_AFTER_S", 0.0)
    event = fired(deferred)
    assert (event["verdict"], event["state"]) == ("failed", "lost")
    assert "cannot be used over SSH" in event["detail"]["error"]


def test_neither_key_nor_secret_is_in_what_a_task_hands_on(build: Build) -> None:
    deferred: Any = deferred_by(build.pulling())
    handed_on = json.dumps(deferred.trigger.serialize()[1])
    assert "PRIVATE KEY" not in handed_on
    assert build.cloud.facts["access_key_secret"] not in handed_on
    perform(build.pulling())
    everything = b"".join(
        path.read_bytes() for path in build.paper.root.folder.rglob("*") if path.is_file()
    )
    assert b"PRIVATE KEY" not in everything
    assert build.cloud.facts["access_key_secret"].encode() not in everything
