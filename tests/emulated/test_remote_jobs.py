"""Detached work on a machine, over both transports: whose it is, who stops it, what survives."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetXCom

from ack_preload.domain.errors import NodeUnreachableError
from ack_preload.hooks.account import ASSISTANT, Account
from ack_preload.hooks.machine import machine
from ack_preload.operators.preload_disk import InstallRuntimeOperator
from ack_preload.triggers import remote_job
from ack_preload.triggers.remote_job import RemoteJobTrigger
from emulator.app import running
from emulator.faults import ResetAfter, SshDropped
from tests.conftest import INSTANT
from tests.emulated.driving import context, deferred_by, fired, perform
from tests.emulated.preloading import Build, connect
from tests.emulated.remote_work import (
    files_of,
    host_of,
    job_of,
    killed,
    registry_down,
    start_job,
    state,
    trigger_of,
)

pytestmark = pytest.mark.slow  # every step is a connection or a few

VERSION = "1.6.20"
FOREVER = "while [[ ! -e ../over ]]; do sleep 0.05; done"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote_jobs")


@pytest.fixture(scope="module")
def built(folder: Path) -> Iterator[Build]:
    """Return a build that is ready to pull, for the whole file: each test has jobs of its own."""
    with (
        running(folder / "cloud", settings=INSTANT) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        connect(cloud, folder / "history.db", environment)
        build = Build(cloud)
        build.prepare()
        build.install()
        yield build


@pytest.fixture(params=["ssh", "assistant"])
def build(
    built: Build, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Build:
    """Reach the machine by one of the transports."""
    connect(built.cloud, folder / "history.db", monkeypatch, transport=request.param)
    return built


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name a job or a task by its test, so that no test meets another's."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[-90:].strip("-")


def event_of(trigger: RemoteJobTrigger) -> dict[str, Any]:
    return fired(TaskDeferred(trigger=trigger, method_name="resume"))


def installing(build: Build) -> InstallRuntimeOperator:
    return InstallRuntimeOperator(task_id="task", version=VERSION, **build.machine)


def test_a_kill_stops_the_work_of_its_own_try_only(build: Build, name: str) -> None:
    assert start_job(build, name, FOREVER) == "started"
    assert start_job(build, name, FOREVER, owner="try2") == "found"
    killed(trigger_of(build, name))
    assert state(build, name) == "running"
    killed(trigger_of(build, name, owner="try2"))
    assert state(build, name) == "failed"


def test_work_that_a_stalled_triggerer_stopped_goes_on(build: Build, name: str) -> None:
    operator, task = build.pulling(), context(task_id=name)
    with registry_down(build):
        deferred = deferred_by(operator, task)
        killed(deferred)
    event = fired(deferred)
    assert event["detail"]["exit_code"] == 143
    with pytest.raises(TaskDeferred) as again:
        operator.resume(task, event)
    assert operator.resume(task, fired(again.value))["images"] == 10


def test_a_cleared_task_does_its_work_again(build: Build, name: str) -> None:
    first = deferred_by(installing(build), context(task_id=name))
    cleared = context(task_id=name, max_tries=3, try_number=2)
    assert job_of(first) != job_of(deferred_by(installing(build), cleared))
    assert perform(installing(build), cleared)["version"] == VERSION


def test_a_start_whose_answer_is_lost_is_found_and_not_repeated(build: Build, name: str) -> None:
    count = f"echo >>../{name}.ran; {FOREVER}"
    if Account.get().transport == ASSISTANT:
        with build.cloud.fault(ResetAfter(target="RunCommand")):
            assert start_job(build, name, count) == "started"  # sent again, by the same token
    else:
        dropped = SshDropped(target=build.instance["instance_id"], after_bytes=0)
        with build.cloud.fault(dropped), pytest.raises(NodeUnreachableError):
            start_job(build, name, count)
    assert start_job(build, name, count, owner="try2") == "found"
    ran = build.paper.root.path / "var/lib/ack-preload/jobs" / f"{name}.ran"
    build.cloud.run_until(ran.exists)  # it has begun, and may not have come to its first line
    killed(trigger_of(build, name, owner="try2"))
    assert ran.read_text() == "\n"


def test_much_input_and_a_long_result_arrive_whole(build: Build, name: str) -> None:
    sent = base64.b64encode(os.urandom(40_000))  # which no packing makes small
    start_job(build, name, "cat; tr 'A-Za-z' 'N-ZA-Mn-za-m' >&2 </dev/null", sent)
    assert event_of(trigger_of(build, name))["verdict"] == "done"
    result = machine(host_of(build)).run_script("job.sh", "result", name).checked()
    assert result.stdout.encode() == sent


def test_a_script_that_fails_says_why(build: Build) -> None:
    result = machine(host_of(build)).run_script("job.sh", "dance", "a b", "$(id)'")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "usage: job.sh start" in result.stderr


def test_a_machine_that_is_gone_keeps_the_wait_pending(build: Build, name: str) -> None:
    gone = trigger_of(build, name, address="127.77.250.1", instance_id="i-gone")
    gone.deadline = datetime.now(UTC).isoformat()
    event = event_of(gone)
    assert (event["verdict"], event["state"]) == ("pending", "unknown: no look succeeded")


def test_a_machine_that_stays_silent_is_lost(
    build: Build, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_job, "GIVE_UP_AFTER_S", 0.0)
    event = event_of(trigger_of(build, name, address="127.77.250.1", instance_id="i-gone"))
    assert (event["verdict"], event["state"]) == ("failed", "lost")
    assert "cannot be used" in event["detail"]["error"]


class Supervisor:
    """What Airflow's triggerer offers to its triggers, as far as XComs go."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen
        self.told: list[Any] = []

    async def asend(self, message: Any) -> None:
        if isinstance(message, SetXCom):
            self.told.append(message)
            self.seen.touch()
        if len(self.told) > 1:
            raise ConnectionError("the supervisor is gone")


def test_progress_is_an_xcom_while_the_task_is_deferred(
    build: Build, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = build.paper.root.path / "var/lib/ack-preload/jobs"
    supervisor = Supervisor(jobs / f"{name}.seen")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    report = 'echo "{\\"done\\": %d, \\"of\\": 2, \\"bytes\\": 7}" >"$ACK_PRELOAD_PROGRESS"'
    start_job(
        build,
        name,
        f"{report % 1}; until [[ -e ../{name}.seen ]]; do sleep 0.05; done; {report % 2}",
    )
    event = event_of(trigger_of(build, name))
    assert event["verdict"] == "done"  # though the last push failed
    assert [(told.key, told.task_id, told.value["done"]) for told in supervisor.told] == [
        ("progress", "pull", 1),
        ("progress", "pull", 2),
    ]


def test_neither_key_nor_secret_is_in_what_a_task_hands_on(build: Build, name: str) -> None:
    deferred: Any = deferred_by(installing(build), context(task_id=name))
    secret = build.cloud.facts["access_key_secret"]
    handed_on = json.dumps(deferred.trigger.serialize()[1])
    assert "PRIVATE KEY" not in handed_on
    assert secret not in handed_on
    assert fired(deferred)["verdict"] == "done"
    everything = files_of(build)
    assert b"PRIVATE KEY" not in everything
    assert secret.encode() not in everything
