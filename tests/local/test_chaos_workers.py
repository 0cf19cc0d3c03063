"""What is left of workers and nights of ``make chaos`` that hang, and what a night is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from emulator.machines.real.processes import boot_id
from emulator.machines.real.slots import RECORD
from local.chaos import workers
from local.chaos.cases import EXPORT, Case
from local.chaos.kill_plan import Kill, Plan
from local.chaos.nights import untold
from local.chaos.promises import wrong_pulls
from local.reap import ReapError

HANGS = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"


def test_what_lives_on_keeps_the_folder_that_tells_of_it(tmp_path: Path) -> None:
    cloud = tmp_path / "worker-0/world-1/cloud"
    cloud.mkdir(parents=True)
    alive = psutil.Process()
    ticks = int(Path(f"/proc/{alive.pid}/stat").read_text().rpartition(")")[2].split()[19])
    owner = {"number": 77, "pid": alive.pid, "started": ticks, "boot_id": boot_id()}
    (cloud / RECORD).write_text(json.dumps({**owner, "state_dir": str(cloud)}))
    with pytest.raises(ReapError, match="still runs"):
        workers.clear(tmp_path / "worker-0")
    assert (cloud / RECORD).exists()
    (cloud / RECORD).unlink()
    workers.clear(tmp_path / "worker-0")
    assert list((tmp_path / "worker-0").iterdir()) == []


def test_a_worker_that_hangs_is_gone_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CASE_WITHIN_S", 0.3)
    worker = workers.WorkerProcess(tmp_path / "worker-0")
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    worker._process = process  # as its start leaves it, without an Airflow
    while not (children := psutil.Process(process.pid).children()):
        assert process.poll() is None
    result = worker.run(Case(EXPORT, "export_image_list", "none", (), "green"), "here")
    assert [each.split(":")[0] for each in result.problems] == ["the harness failed"]
    assert not worker.is_alive
    assert psutil.wait_procs(children, timeout=5)[1] == []
    worker.__exit__(None, None, None)


def test_no_kill_of_a_night_that_is_ended_is_missing() -> None:
    hit = Kill("scheduler", EXPORT, "export_image_list", pid=1, saw="in execute")
    plan = Plan("short", (hit, Kill("triggerer", EXPORT, "watch_run")))
    results = untold([plan], "paper")
    assert [result.struck for result in results] == [1, 0]
    assert [result.is_good for result in results] == [False, False]
    assert results[0].fault == "kill -9 of the scheduler, in execute"
    assert results[0].case == f"{EXPORT}.export_image_list/kill -9 of the scheduler"


def test_two_arms_on_one_disk_are_told_apart_by_what_they_pulled() -> None:
    assert wrong_pulls([("baseline", 8_000_000), ("preloaded", 0)]) == []
    assert len(wrong_pulls([("baseline", 0), ("preloaded", 0)])) == 1
    assert len(wrong_pulls([("baseline", 8_000_000), ("preloaded", 8_000_000)])) == 1
