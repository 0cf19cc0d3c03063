"""Host keys: known before the first connection, checked at each, never trusted on sight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import (
    InvalidInputError,
    NodeUnreachableError,
    PreloadError,
    WaitTimeoutError,
)
from ack_preload.hooks.host import Host
from ack_preload.hooks.machine import machine
from ack_preload.operators.preload_disk import InstallRuntimeOperator, PrepareDiskOperator
from emulator.app import running
from emulator.faults import AssistantAbsent
from tests.conftest import INSTANT
from tests.emulated.driving import context, deferred_by, fired
from tests.emulated.preloading import Build, connect, ssh_connection
from tests.emulated.remote_work import host_of

KEY_FILE = "etc/ssh/ssh_host_ed25519_key.pub"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Return a build that is not begun, and its local cloud with one live node."""
    folder = tmp_path_factory.mktemp("host_keys")
    with (
        running(folder / "cloud", settings=INSTANT) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        connect(cloud, folder / "history.db", environment)
        yield Build(cloud)


@pytest.fixture
def live(build: Build) -> Any:
    """Return the paper machine of the live node."""
    machines = build.cloud.cloud.machines._machines  # type: ignore[attr-defined]  # paper's own
    (found,) = (each for name, each in machines.items() if name != build.instance["instance_id"])
    return found


def live_host(live: Any) -> Host:
    return Host(live.spec.private_ip, instance_id=live.spec.machine_id)


def new_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


@contextmanager
def key_file(of: Any, text: str) -> Iterator[None]:
    """Have the agent of a machine read something else than the machine's host key."""
    path: Path = of.root.path / KEY_FILE
    kept = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(kept)


@pytest.fixture
def ssh_extra(build: Build, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that adds extras to the connection for live nodes."""

    def add(**extra: Any) -> None:
        made = json.loads(ssh_connection(build.cloud.facts))
        made["extra"] |= extra
        monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_SSH", json.dumps(made))

    return add


def preparing(build: Build, **changes: str) -> PrepareDiskOperator:
    serial = build.instance["disk_serial"]
    known = {**build.machine, **changes}
    return PrepareDiskOperator(task_id="prepare", disk_serial=serial, **known)


def test_the_key_is_read_by_the_agent_before_the_first_connection(build: Build) -> None:
    operator = preparing(build)
    waiting = deferred_by(operator)
    assert waiting.trigger.wait == "assistant_ready"
    with pytest.raises(TaskDeferred) as working:
        operator.identify(context(), fired(waiting))
    subject = working.value.trigger.subject
    assert subject["host_key"] == " ".join(build.paper.ssh.host_key.split()[:2])
    assert fired(working.value)["verdict"] == "done"


def test_an_agent_that_never_comes_up_is_said_with_its_mend(build: Build) -> None:
    operator = preparing(build)
    with build.cloud.fault(
        AssistantAbsent(target=build.instance["instance_id"]), must_strike=False
    ):
        waiting = deferred_by(operator)
        waiting.trigger.deadline = datetime.now(UTC).isoformat()
        with pytest.raises(WaitTimeoutError, match=r"agent on it does not report.*image"):
            operator.identify(context(), fired(waiting))


def test_what_is_not_one_key_is_refused(build: Build) -> None:
    operator = preparing(build)
    waiting = fired(deferred_by(operator))
    two = f"{new_key()}\n{new_key()}\n"
    with (
        key_file(build.paper, two),
        pytest.raises(InvalidInputError, match=r"instance i-.*one line"),
    ):
        operator.identify(context(), waiting)


def test_another_host_key_is_refused_and_nothing_is_sent(build: Build) -> None:
    before = set(build.paper.shell.sessions)
    there = {**build.machine, "host_key": new_key()}
    operator = InstallRuntimeOperator(task_id="install", version="1.6.20", **there)
    with pytest.raises(NodeUnreachableError, match=r"does not match.*nothing was sent"):
        operator.execute(context())
    asked = machine(host_of(build, host_key=new_key()))
    with pytest.raises(NodeUnreachableError, match=r"not trusted.*nothing was sent"):
        asyncio.run(asked.arun_script("job.sh", "state", "x"))
    assert set(build.paper.shell.sessions) == before


def test_without_a_host_key_no_connection_is_made(build: Build) -> None:
    operator = InstallRuntimeOperator(task_id="install", version="1.6.20", **build.machine)
    with pytest.raises(InvalidInputError, match=r"host_key of .* is empty"):
        operator.execute(context())


def test_a_new_node_is_known_by_its_agent_and_by_nothing_it_says_itself(
    live: Any, ssh_extra: Callable[..., None]
) -> None:
    ssh_extra(no_host_key_check="true", allow_host_key_change="true")
    there = machine(live_host(live))
    assert there.run_script("list_images.sh").exit_code == 0
    with key_file(live, new_key()), pytest.raises(NodeUnreachableError, match="does not match"):
        there.run_script("list_images.sh")
    gone = machine(Host(live.spec.private_ip, instance_id="i-gone"))
    with pytest.raises(NodeUnreachableError, match=r"cannot be read: .* gone.*extra known_hosts"):
        gone.run_script("list_images.sh")
    with pytest.raises(InvalidInputError, match="its instance id"):
        machine(Host(live.spec.private_ip)).run_script("list_images.sh")


def test_a_connection_may_say_itself_how_nodes_are_known(
    build: Build, live: Any, tmp_path: Path, ssh_extra: Callable[..., None]
) -> None:
    kind, body, *_ = live.ssh.host_key.split()
    address, port = live.spec.private_ip, build.cloud.facts["ssh_port"]
    with key_file(live, "not asked for"):
        ssh_extra(host_key=f"{kind} {body}")
        assert machine(live_host(live)).run_script("list_images.sh").exit_code == 0
        known = tmp_path / "known_hosts"
        known.write_text(f"[{address}]:{port} {kind} {body}\n")
        ssh_extra(known_hosts=str(known))
        assert machine(Host(address)).run_script("list_images.sh").exit_code == 0
        known.write_text("")
        with pytest.raises(PreloadError, match="not found in known_hosts"):
            machine(Host(address)).run_script("list_images.sh")
        assert known.read_text() == ""
        ssh_extra(host_key=f"{kind} AAAA")
        with pytest.raises(InvalidInputError, match="which is no public key"):
            machine(Host(address)).run_script("list_images.sh")


def test_without_an_ssh_route_a_node_is_listed_by_its_agent(
    build: Build, live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over_ssh = machine(live_host(live)).run_script("list_images.sh")
    connect(build.cloud, tmp_path / "history.db", monkeypatch, transport="assistant")
    monkeypatch.delenv("AIRFLOW_CONN_ACK_PRELOAD_SSH")
    assert machine(live_host(live)).run_script("list_images.sh") == over_ssh
    with pytest.raises(InvalidInputError, match=r"instance_id of .* is empty"):
        machine(Host(live.spec.private_ip)).run_script("list_images.sh")
    with pytest.raises(InvalidInputError, match="use transport ssh"):
        machine(live_host(live)).run_script("list_images.sh", secret=b"p4ss")
