"""Who is killed by ``make chaos``, and at which moment of a task."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.chaos import moments
from local.chaos.kill_plan import QUICK, STAGES, TEARDOWNS, scheduler, task_and_triggerer
from local.chaos.kills import pid_of_component, strike
from local.chaos.metadata import Row

BEGAN = '{"event":"::group::Pre Execute"}\n{"event":"Worker startup parse complete"}\n'
EXECUTES = BEGAN + '{"event":"::endgroup::"}\n'
ENDED = EXECUTES + '{"event":"::group::Post Execute"}\n{"event":"::endgroup::"}\n'


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_part_is_found_by_its_number_and_its_start_or_not_at_all(
    victim: subprocess.Popen[bytes],
) -> None:
    started = psutil.Process(victim.pid).create_time()
    known = {"name": "scheduler", "pid": victim.pid, "started": started}
    assert pid_of_component([known], "scheduler") == victim.pid
    assert pid_of_component([known], "triggerer") == 0
    assert pid_of_component([known | {"started": started - 60}], "scheduler") == 0


def test_only_a_process_that_is_there_is_struck(victim: subprocess.Popen[bytes]) -> None:
    assert strike(victim.pid)
    assert victim.wait() == -9
    assert not strike(victim.pid)


def test_no_process_is_never_our_own_group() -> None:
    child = os.fork()
    if not child:
        os.setsid()  # a group of its own, which is all that 0 could hit
        os._exit(int(strike(0)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("log", "where"),
    [
        ("", "before execute"),
        (BEGAN, "before execute"),
        (EXECUTES, "in execute"),
        (EXECUTES + '{"event":"said by the task"}\n', "in execute"),
        (ENDED, "after execute"),
        (ENDED + BEGAN, "before execute"),
        (ENDED + EXECUTES, "in resume"),
    ],
)
def test_where_a_process_is_is_read_from_its_log(tmp_path: Path, log: str, where: str) -> None:
    path = tmp_path / "attempt=1.log"
    assert moments.moment(path) == "before execute"
    path.write_text(log)
    assert moments.moment(path) == where


def test_only_a_process_within_its_task_stays_stopped(
    tmp_path: Path, victim: subprocess.Popen[bytes]
) -> None:
    log = tmp_path / "attempt=1.log"
    for text, stopped in ((BEGAN, ""), (ENDED, ""), (EXECUTES, "in execute")):
        log.write_text(text)
        assert moments.stopped_within(victim.pid, log) == stopped
    os.waitid(os.P_PID, victim.pid, os.WSTOPPED | os.WNOWAIT)
    victim.send_signal(signal.SIGCONT)


def test_the_log_of_a_mapped_task_is_its_own() -> None:
    row = Row("1", "dag", "run", "task", 0, "running", 2, None)
    path = moments.log_of(Path("logs"), row)
    assert path == Path("logs/dag_id=dag/run_id=run/task_id=task/map_index=0/attempt=2.log")


def test_held_is_who_waits_on_a_connection_to_the_port(
    monkeypatch: pytest.MonkeyPatch, victim: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(moments, "LOOKS_APART_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not moments.is_held(os.getpid(), port)
        with socket.create_connection(("127.0.0.1", port)):
            assert moments.is_held(os.getpid(), port)
            assert not moments.is_held(victim.pid, port)


def test_every_kill_before_execute_is_planned_as_such() -> None:
    early = {(kill.dag, kill.stage) for kill in task_and_triggerer().kills if kill.is_early}
    assert early == set(QUICK)
    early = {(kill.dag, kill.stage) for kill in scheduler().kills if kill.is_early}
    assert early == {*QUICK, *TEARDOWNS}
    assert not any(STAGES[stage] for stage in QUICK)
