"""What people do to a build that works on its disk, on a real Airflow: nothing of it stays.

Four builds run side by side. While each waits, for its machine or for a job on it, a person clears
the task, marks the task or the run failed, or deletes the run. What belongs to somebody else lies
beside all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ack_preload.domain.tags import RUN_KEY, run_tag
from local.chaos.judge import Kept, Scene, doubled, leaked, touched
from local.chaos.neighbours import Account, settle_down
from local.rest import ApiError
from tests.dags.airflow_world import World, run_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

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


# What is done to a build, and while which of its tasks is deferred.
DEEDS: dict[str, tuple[str, Callable[[World, str], None]]] = {
    "cleared": (JOB, clear),
    "task failed": (MACHINE, mark_task_failed),
    "run failed": (JOB, mark_run_failed),
}
DELETED = "deleted"


def do_all(world: World, runs: Mapping[str, str]) -> None:
    """Do to each build what is to be done, as soon as it is where that is meant for."""
    todo = dict(DEEDS)

    def all_done() -> bool:
        for deed, (task_id, do) in list(todo.items()):
            state = world.states(BUILD, runs[deed]).get(task_id)
            assert state != "success", f"{task_id} was over before it could be {deed}"
            if state == "deferred":
                do(world, runs[deed])
                del todo[deed]
        return not todo

    world.until(all_done)
    delete_run(world, runs[DELETED])  # the last, since it takes a while in which others go on


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
    runs = {deed: world.api.trigger(BUILD, {"target": "demo"}) for deed in (*DEEDS, DELETED)}
    do_all(world, runs)
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
