"""Who is killed by ``make chaos``, and at which moment of a task."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from local.chaos.kills import pid_of_component, strike


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
