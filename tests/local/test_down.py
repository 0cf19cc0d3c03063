"""``make up`` and ``make down`` as a person runs them: afterwards nothing of ours is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator.machines.real import slots
from local.chain import NIGHTLY
from local.layout import HOME_VARIABLE, ROOT, Layout
from local.processes import marked
from local.stack import Stack

LIMIT_S = 280


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "local")


@pytest.fixture
def run(layout: Layout) -> Iterator[Callable[..., str]]:
    """Run a program of ``local`` on a folder of this test; stop what is left at its end."""
    environment = {**os.environ, HOME_VARIABLE: str(layout.home)}

    def program(name: str, *options: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", f"local.{name}", *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    yield program
    program("down")


def state_of(layout: Layout) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(layout.state.read_text())
    return state


def prefix_of(layout: Layout) -> str:
    """Return what all names of this local cloud's network start with, such as ``ackp0-``."""
    registry = json.loads(layout.cloud.read_text())["registry"]
    return f"ackp{registry.split('.')[2]}-"


def traces(layout: Layout, before: set[str], prefix: str) -> list[str]:
    """Return what the host has now and had not before, with our prefix or our folder in it.

    A test beside this one may have taken the number in our prefix since. No cloud takes a number
    whose network, namespaces or cgroups are still there, so then there is nothing of ours either.
    """
    home = str(layout.home)
    with number_for_us(prefix) as ours:
        new = sorted(host_facts() - before)
    found = [line for line in new if home in line or (ours and prefix in line)]
    for process in psutil.process_iter(["cmdline"]):
        if any(home in word for word in process.info["cmdline"] or []):
            found.append(f"process {process.pid}: {' '.join(process.info['cmdline'])}")
    return found


@contextmanager
def number_for_us(prefix: str) -> Iterator[bool]:
    """Keep others from taking the number in ``prefix``; false when one has it already."""
    number = prefix.removeprefix("ackp").removesuffix("-")
    lock = slots.lock_number(int(number)) if number.isdigit() else None
    try:
        yield lock is not None or not number.isdigit()
    finally:
        if lock is not None:
            if not os.fstat(lock).st_size:
                slots.lock_file(int(number)).unlink(missing_ok=True)
            os.close(lock)


def host_facts() -> set[str]:
    """Return loop devices, network namespaces, links, mounts and cgroups, one a line."""
    if sys.platform != "linux":
        return set()
    commands = (
        ["losetup", "-a"],
        ["ip", "netns"],
        ["ip", "-o", "link"],
        ["findmnt", "-rno", "TARGET,SOURCE"],
    )
    facts = set()
    for command in commands:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        facts |= {f"{command[0]}: {line}" for line in said.splitlines()}
    groups = Path("/sys/fs/cgroup").rglob("*ackp*")
    return facts | {f"cgroup: {path}" for path in groups if path.is_dir()}


def listening(token: str) -> set[str]:
    """Return the addresses at which processes of ours listen."""
    ours = {process.pid for process in marked(token)}
    return {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN and connection.pid in ours
    }


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_up_listens_on_loopback_only_and_down_leaves_nothing(
    layout: Layout, run: Callable[..., str]
) -> None:
    before = host_facts()
    said = run("up", "--machines", "paper")
    token = state_of(layout)["token"]
    assert state_of(layout)["ui"] in said
    assert "password" in said
    assert {ip for ip in listening(token) if not ip.startswith("127.")} == set()

    run("down")

    assert marked(token) == []
    assert traces(layout, before, str(layout.home)) == []
    assert not layout.cloud.exists(), "the key of a cloud that is gone"


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_down_leaves_no_mount_loop_device_namespace_or_cgroup_of_real_machines(
    layout: Layout, run: Callable[..., str]
) -> None:
    before = host_facts()
    run("up", "--machines", "real")
    token, prefix = state_of(layout)["token"], prefix_of(layout)
    assert traces(layout, before, prefix) != [], "real machines leave traces while they run"

    run("down")

    assert marked(token) == []
    assert traces(layout, before, prefix) == []


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_down_cleans_up_after_a_supervisor_and_a_cloud_that_were_killed(
    layout: Layout, run: Callable[..., str]
) -> None:
    before = host_facts()
    run("up", "--machines", "real")
    state, prefix = state_of(layout), prefix_of(layout)
    cloud = next(part for part in state["components"] if part["name"] == "cloud")
    for pid in (state["pid"], cloud["pid"]):
        killed = psutil.Process(pid)
        killed.send_signal(signal.SIGKILL)
        killed.wait(timeout=30)

    assert "cleaned up" in run("down")

    assert marked(state["token"]) == []
    assert traces(layout, before, prefix) == []


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_a_part_that_ends_stops_all_and_is_named(layout: Layout, run: Callable[..., str]) -> None:
    run("up", "--machines", "paper")
    state = state_of(layout)
    triggerer = next(part for part in state["components"] if part["name"] == "triggerer")
    supervisor = psutil.Process(state["pid"])

    psutil.Process(triggerer["pid"]).send_signal(signal.SIGKILL)
    supervisor.wait(timeout=120)

    assert marked(state["token"]) == []
    assert "triggerer was killed by signal 9" in state_of(layout)["error"]


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_a_run_that_was_under_way_is_failed_and_does_not_hold_up_the_next(
    layout: Layout, run: Callable[..., str]
) -> None:
    run("up", "--machines", "paper")
    api = Stack(layout).api()
    first = api.trigger(NIGHTLY, {})
    assert api.run(NIGHTLY, first)["state"] in ("queued", "running")
    api.close()
    run("down")

    run("up", "--machines", "paper")
    api = Stack(layout).api()
    assert api.run(NIGHTLY, first)["state"] == "failed"
    states = {task["state"] for task in api.tasks(NIGHTLY, first)}
    assert states <= {"failed", "success", None}
    api.close()


@pytest.mark.slow
def test_it_ends_when_its_starter_has_gone(layout: Layout, run: Callable[..., str]) -> None:
    environment = {**os.environ, HOME_VARIABLE: str(layout.home)}
    command = [sys.executable, "-m", "local.serve", "--machines", "paper", "--with-stdin"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as serve:
        assert serve.stdin is not None
        serve.stdin.close()
        assert serve.wait(timeout=LIMIT_S) == 0
    state = state_of(layout)
    assert state["phase"] == "stopped"
    assert marked(state["token"]) == []
