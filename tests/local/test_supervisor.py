"""The supervisor with components that are plain Python: what it starts never outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.airflow_home import MARKER
from local.layout import Layout
from local.processes import find, marked
from local.stack import stop_local
from local.supervisor import Component, ComponentError, Supervisor

# A component with a child that leaves its session, as daemons do; says when both are there.
PARENT = """
import subprocess, sys, time
code = "import time; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen(
    [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
)
child.stdout.readline()  # Popen returns before the kernel shows the environment of the child
print("up", flush=True)
time.sleep(600)
"""
# A program that supervises such a component until it is stopped.
PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from local.layout import Layout
from local.supervisor import Component, Supervisor

async def main():
    async with Supervisor(Layout(Path(sys.argv[1]))) as supervisor:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, supervisor.stopping.set)
        environment = {"PATH": "/usr/bin:/bin", sys.argv[3]: supervisor.token}
        process = await supervisor.start(
            Component("part", [sys.executable, "-c", sys.argv[2]], environment, reads_stdout=True)
        )
        await process.stdout.readline()
        print("ready", flush=True)
        await supervisor.until_stopped()

asyncio.run(main())
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "local")
    layout.make()
    return layout


@pytest.fixture
def program(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(layout.home), PARENT, MARKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def state_of(layout: Layout) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(layout.state.read_text())
    return state


def component(supervisor: Supervisor, code: str) -> Component:
    environment = {"PATH": os.defpath, MARKER: supervisor.token}
    return Component("part", [sys.executable, "-c", code], environment)


@pytest.mark.slow
def test_a_stopped_supervisor_takes_children_with_it_that_left_their_session(
    layout: Layout, program: subprocess.Popen[str]
) -> None:
    token = state_of(layout)["token"]
    assert len(marked(token)) == 2

    program.send_signal(signal.SIGTERM)

    assert program.wait(timeout=30) == 0
    assert marked(token) == []
    assert state_of(layout)["phase"] == "stopped"


@pytest.mark.slow
def test_what_a_killed_supervisor_left_is_found_by_its_record_and_stopped(
    layout: Layout, program: subprocess.Popen[str]
) -> None:
    token = state_of(layout)["token"]
    program.kill()
    program.wait(timeout=30)
    assert len(marked(token)) == 2

    stopped = stop_local(layout)

    assert len(stopped) == 2
    assert marked(token) == []
    assert not layout.state.exists()


def test_stopping_when_nothing_runs_does_nothing(layout: Layout) -> None:
    assert stop_local(layout) == []


@pytest.mark.slow
async def test_a_component_that_ends_is_named_with_the_end_of_its_log(layout: Layout) -> None:
    async def watch_it_end() -> None:
        async with Supervisor(layout) as supervisor:
            code = "import sys; print('out of cheese', file=sys.stderr); sys.exit(3)"
            await supervisor.start(component(supervisor, code))
            await supervisor.until_stopped()

    with pytest.raises(ComponentError, match=r"part ended with exit code 3.*\n.*out of cheese"):
        await watch_it_end()

    assert "out of cheese" in state_of(layout)["error"]
    assert state_of(layout)["phase"] == "failed"


@pytest.mark.slow
async def test_a_component_that_takes_too_long_is_named_and_stopped(layout: Layout) -> None:
    supervisor = Supervisor(layout)

    async def run_for_ever() -> None:
        async with supervisor:
            endless = component(supervisor, "import time; time.sleep(600)")
            await supervisor.run(endless, within_s=0.2)

    with pytest.raises(ComponentError, match="part did not end within 0 s"):
        await run_for_ever()

    assert marked(supervisor.token) == []


@pytest.mark.slow
async def test_a_component_that_ignores_the_request_to_end_is_killed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.supervisor.PATIENCE_S", 0.2)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    supervisor = Supervisor(layout)
    async with supervisor:
        argv = [sys.executable, "-c", f"{stubborn}; time.sleep(600)"]
        environment = {"PATH": os.defpath, MARKER: supervisor.token}
        process = await supervisor.start(Component("part", argv, environment, reads_stdout=True))
        assert process.stdout is not None
        await process.stdout.readline()
        supervisor.stopping.set()
        await supervisor.until_stopped()

    assert supervisor.killed == ["part"]
    assert marked(supervisor.token) == []


async def test_the_state_can_only_be_read_by_its_owner(layout: Layout) -> None:
    async with Supervisor(layout):
        assert layout.state.stat().st_mode & 0o777 == 0o600


def test_another_process_with_a_recorded_id_is_not_ours() -> None:
    this = psutil.Process()
    assert find(this.pid, this.create_time()) == this
    assert find(this.pid, this.create_time() - 60) is None


def test_only_processes_with_the_token_are_ours() -> None:
    environment = {**os.environ, MARKER: "token-of-this-test"}
    sleeper = [sys.executable, "-c", "print(1, flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(sleeper, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert [found.pid for found in marked("token-of-this-test")] == [process.pid]
            assert marked("another") == []
        finally:
            process.kill()


def test_a_start_that_is_told_to_stop_returns(layout: Layout) -> None:
    async def stopped_at_once() -> None:
        async with Supervisor(layout) as supervisor:
            supervisor.stopping.set()
            await supervisor.until_stopped()

    asyncio.run(asyncio.wait_for(stopped_at_once(), 10))


async def test_a_component_that_is_to_be_kept_is_started_again_without_what_it_left(
    layout: Layout,
) -> None:
    sleeps = "import time; time.sleep(600)"
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{sleeps}'])\n"
    code = f"{leaves}print('up', flush=True)\n{sleeps}"
    async with Supervisor(layout) as supervisor:
        environment = {"PATH": "/usr/bin:/bin", MARKER: supervisor.token}
        argv = [sys.executable, "-c", code]
        first = await supervisor.start(Component("part", argv, environment, restarts=True))
        running = asyncio.create_task(supervisor.until_stopped())
        await until(lambda: "up" in supervisor.log_of("part").read_text())
        left = {each.pid for each in marked(supervisor.token)}
        first.kill()
        await until(lambda: supervisor.log_of("part").read_text().count("up") == 2)
        again = {each.pid for each in marked(supervisor.token)}
        assert not left & again
        (known,) = json.loads(layout.state.read_text())["components"]
        assert known["pid"] in again
        supervisor.stopping.set()
        await running
    assert marked(supervisor.token) == []


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not met():
            await asyncio.sleep(0.02)
