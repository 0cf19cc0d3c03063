"""``make up`` and ``make down`` as a person runs them: afterwards nothing of ours is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


Program = Callable[..., str]


@contextmanager
def programs(layout: Layout) -> Iterator[Program]:
    """Run programs of ``local`` on a folder of this test; stop what is left at its end."""
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


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "local")


@pytest.fixture
def run(layout: Layout) -> Iterator[Program]:
    with programs(layout) as program:
        yield program


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


@dataclass(frozen=True, slots=True)
class Life:
    """What was seen of one folder: up, a run begun, down, up again, and the triggerer killed."""

    said: str
    ui: str
    listened_at: set[str]
    left_by_down: list[str]
    key_after_down: bool  # whether the key of the cloud was still there
    run_after_up: str  # state of the run that was under way
    tasks_after_up: set[str | None]
    left_by_crash: list[str]
    error: str


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    layout = Layout(tmp_path_factory.mktemp("life") / "local")
    before = host_facts()
    with programs(layout) as run:
        said = run("up", "--machines", "paper")
        first = state_of(layout)
        listened_at = listening(first["token"])
        api = Stack(layout).api()
        begun = api.trigger(NIGHTLY, {})
        assert api.run(NIGHTLY, begun)["state"] in ("queued", "running")
        api.close()
        run("down")
        left = [*map(str, marked(first["token"])), *traces(layout, before, str(layout.home))]
        key_after_down = layout.cloud.exists()

        run("up", "--machines", "paper")
        second = state_of(layout)
        api = Stack(layout).api()
        run_after_up = str(api.run(NIGHTLY, begun)["state"])
        tasks_after_up = {task["state"] for task in api.tasks(NIGHTLY, begun)}
        api.close()

        triggerer = next(part for part in second["components"] if part["name"] == "triggerer")
        supervisor = psutil.Process(second["pid"])
        psutil.Process(triggerer["pid"]).send_signal(signal.SIGKILL)
        supervisor.wait(timeout=120)
        yield Life(
            said=said,
            ui=first["ui"],
            listened_at=listened_at,
            left_by_down=left,
            key_after_down=key_after_down,
            run_after_up=run_after_up,
            tasks_after_up=tasks_after_up,
            left_by_crash=[*map(str, marked(second["token"]))],
            error=str(state_of(layout)["error"]),
        )


@pytest.mark.slow
@pytest.mark.timeout(4 * LIMIT_S)
class TestLife:
    def test_up_says_where_it_is_and_listens_on_loopback_only(self, life: Life) -> None:
        assert life.ui in life.said
        assert "password" in life.said
        assert life.listened_at
        assert {ip for ip in life.listened_at if not ip.startswith("127.")} == set()

    def test_down_leaves_nothing_even_of_a_run_that_was_under_way(self, life: Life) -> None:
        assert life.left_by_down == []
        assert not life.key_after_down, "the key of a cloud that is gone"

    def test_that_run_is_failed_at_the_next_start_and_holds_nothing_up(self, life: Life) -> None:
        assert life.run_after_up == "failed"
        assert life.tasks_after_up <= {"failed", "success", None}

    def test_a_part_that_ends_stops_all_and_is_named(self, life: Life) -> None:
        assert life.left_by_crash == []
        assert "triggerer was killed by signal 9" in life.error


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_down_leaves_no_mount_loop_device_namespace_or_cgroup_of_real_machines(
    layout: Layout, run: Program
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
    layout: Layout, run: Program
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
def test_it_ends_when_its_starter_has_gone(layout: Layout, run: Program) -> None:
    environment = {**os.environ, HOME_VARIABLE: str(layout.home)}
    command = [sys.executable, "-m", "local.serve", "--machines", "paper", "--with-stdin"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as serve:
        assert serve.stdin is not None
        serve.stdin.close()
        assert serve.wait(timeout=LIMIT_S) == 0
    state = state_of(layout)
    assert state["phase"] == "stopped"
    assert marked(state["token"]) == []
