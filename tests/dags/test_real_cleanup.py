"""What people do to a build that works on its disk, on a real Airflow: nothing of it stays.

Four builds run side by side. While each waits, for its machine or for a job on it, a person clears
the task, marks the task or the run failed, or deletes the run. Faults hold each in that wait until
it was done, however slow all of it is. What belongs to somebody else lies beside all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from ack_preload.domain.tags import RUN_KEY, run_tag
from local.chaos.catalogue import OURS, stuck
from local.chaos.judge import Kept, Scene, doubled, leaked, touched
from local.chaos.neighbours import Account, settle_down
from local.rest import ApiError
from tests.dags.airflow_world import World, run_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

BUILD = "build_preloaded_disk"
MACHINE = "run_build_instance"  # it waits for the machine that it has ordered
JOB = "prepare_disk"  # it waits for a job on the machine
SWEEP = {"dry_run": False, "grace_min": 0}


def clear(world: World, run_id: str) -> None:
    world.clear(BUILD, run_id, JOB)


def mark_task_failed(world: World, run_id: str) -> None:
    path = f"{run_path(BUILD, run_id)}/taskInstances/{MACHINE}"
    world.api.call("PATCH", path, {"new_state": "failed"})


def mark_run_failed(world: World, run_id: str) -> None:
    world.mark_run(BUILD, run_id, "failed")


def delete_run(world: World, run_id: str) -> None:
    """Delete a run under its feet: Airflow refuses while it is running, not while it is queued."""
    with pytest.raises(ApiError, match=r"409.*cannot be deleted in running state"):
        world.api.call("DELETE", run_path(BUILD, run_id))
    with world.paused(BUILD):  # else the scheduler starts it, and ends when it is gone
        world.mark_run(BUILD, run_id, "queued")
        world.api.call("DELETE", run_path(BUILD, run_id))


# What is done to a build, by which of its waits it is done in.
Deeds = dict[str, Callable[[World, str], None]]
WHILE_ITS_MACHINE_BOOTS: Deeds = {"task failed": mark_task_failed, "deleted": delete_run}
WHILE_ITS_JOB_RUNS: Deeds = {"cleared": clear, "run failed": mark_run_failed}
DELETED = "deleted"


def do_all(world: World, account: Account, runs: Mapping[str, str]) -> None:
    """Do to each build what is to be done, while the cloud holds it where that is meant for."""
    boots = account.arm(stuck("instance", "Pending", OURS))
    world.until(lambda: all(waits(world, run, MACHINE) for run in runs.values()))
    for deed, do in WHILE_ITS_MACHINE_BOOTS.items():
        do(world, runs[deed])
    jobs = {deed: account.arm(silent(machine(account, runs[deed]))) for deed in WHILE_ITS_JOB_RUNS}
    account.disarm(boots)
    for deed, do in WHILE_ITS_JOB_RUNS.items():
        run, silence = runs[deed], jobs[deed]
        world.until(partial(is_in_its_job, world, account, run, silence))
        do(world, run)
        account.disarm(silence)


def waits(world: World, run_id: str, task_id: str) -> bool:
    return world.states(BUILD, run_id).get(task_id) == "deferred"


def is_in_its_job(world: World, account: Account, run_id: str, silence: str) -> bool:
    """Tell whether the job was started: the connection after that one was refused."""
    return account.struck(silence) > 0 and waits(world, run_id, JOB)


def silent(instance_id: str) -> dict[str, Any]:
    """Describe a machine that takes the connection which starts a job, and none after it."""
    return {"kind": "ssh_refused", "target": instance_id, "nth": 2, "times": 0}


def machine(account: Account, run_id: str) -> str:
    run = run_tag(BUILD, run_id)
    alive = [each for each in account.scene().alive if each["kind"] == "instance"]
    (found,) = (each["id"] for each in alive if each["tags"].get(RUN_KEY) == run)
    return str(found)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What there was before and after, and what Airflow made of each build."""

    runs: dict[str, str]  # deed -> run id
    ended: dict[str, str]  # deed -> state of the run, where there still is one
    before: Scene
    unswept: Scene
    after: Scene
    snapshots: frozenset[str]  # that are good

    def made(self, deed: str) -> list[dict[str, Any]]:
        """Return what the meter heard of that a build made."""
        run = run_tag(BUILD, self.runs[deed])
        return [dict(each) for each in self.after.lines if each["tags"].get(RUN_KEY) == run]

    def left(self, scene: Scene, deed: str) -> list[str]:
        run = run_tag(BUILD, self.runs[deed])
        own = [each for each in scene.alive if each["tags"].get(RUN_KEY) == run]
        return [str(each["id"]) for each in own if each["id"] not in self.snapshots]


@pytest.fixture(scope="module")
def aftermath(world: World, night: str) -> Aftermath:
    account = Account(world.facts)
    foreign = settle_down(account)
    before = account.scene()
    assert foreign <= before.resources.keys()
    deeds = (*WHILE_ITS_MACHINE_BOOTS, *WHILE_ITS_JOB_RUNS)
    runs = {deed: world.api.trigger(BUILD, {"target": "demo"}) for deed in deeds}
    do_all(world, account, runs)
    ended = {deed: world.finish(BUILD, run) for deed, run in runs.items() if deed != DELETED}
    unswept = account.scene()
    sweep = world.api.trigger("sweep_leftovers", SWEEP)
    assert world.finish("sweep_leftovers", sweep) == "success"
    good = frozenset(each.snapshot_id for each in world.store.snapshots("demo"))
    world.until(lambda: not leaked(before, account.scene(), Kept(snapshots=good)))
    return Aftermath(runs, ended, before, unswept, account.scene(), good)


def test_a_build_that_is_cleared_takes_its_machine_up_again_and_ends_green(
    aftermath: Aftermath,
) -> None:
    assert aftermath.ended["cleared"] == "success"
    assert not aftermath.left(aftermath.unswept, "cleared")
    (snapshot,) = (each for each in aftermath.made("cleared") if each["kind"] == "snapshot")
    assert snapshot["id"] in aftermath.snapshots


@pytest.mark.parametrize("deed", ["task failed", "run failed"])
def test_a_build_that_a_person_marks_failed_ends_red_and_leaves_nothing(
    aftermath: Aftermath, deed: str
) -> None:
    assert aftermath.ended[deed] == "failed"
    assert aftermath.made(deed)
    assert not aftermath.left(aftermath.unswept, deed)


def test_what_a_deleted_build_left_goes_with_the_next_sweep(
    world: World, aftermath: Aftermath
) -> None:
    with pytest.raises(ApiError, match="404"):
        world.api.run(BUILD, aftermath.runs[DELETED])
    assert aftermath.made(DELETED)
    assert aftermath.left(aftermath.unswept, DELETED), "what made the sweep needless?"
    assert not aftermath.left(aftermath.after, DELETED)


def test_no_build_ever_had_two_machines(aftermath: Aftermath) -> None:
    assert doubled(aftermath.before, aftermath.after) == []


def test_what_belongs_to_others_is_byte_for_byte_what_it_was(aftermath: Aftermath) -> None:
    assert touched(aftermath.before, aftermath.after, aftermath.before.resources) == []
