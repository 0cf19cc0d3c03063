"""An ECS that lists late what it made, and workers that die in between: nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import ResourceFailedError, WaitTimeoutError
from ack_preload.domain.tags import RUN_KEY, Ownership, run_tag, sealed_tags
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
    StopInstanceOperator,
)
from ack_preload.operators.key_pair import DeleteKeyPairOperator, ImportKeyPairOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator, DiscardSnapshotsOperator
from emulator.app import Handle
from tests.emulated.driving import Run, context, deferred_by, fired, perform, target
from tests.emulated.node_pools import world

LAG_S = 0.3


class Killed(BaseException):
    """Stands for kill -9 after the cloud did what it was asked for, before that was noted."""


class DyingInstance(RunBuildInstanceOperator):
    def ask(self, context: Any, owner: Ownership, salt: str) -> str:
        super().ask(context, owner, salt)
        raise Killed


class DyingSnapshot(CreateSnapshotOperator):
    def ask(self, context: Any, owner: Ownership, salt: str) -> str:
        super().ask(context, owner, salt)
        raise Killed


class DyingHook(EcsHook):
    def import_key_pair(self, *arguments: Any, **named: Any) -> None:
        super().import_key_pair(*arguments, **named)
        raise Killed


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    yield from world(tmp_path_factory, read_delay_s=LAG_S)


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def instance(cloud: Handle, kind: type = RunBuildInstanceOperator, **more: Any) -> Any:
    more = {"key_pair_name": "demo-nodes", **more}
    return kind(task_id="make", target=target(cloud), **more)


def snapshot(cloud: Handle, disk_id: str, kind: type = CreateSnapshotOperator) -> Any:
    more = {"snapshot_name": "late", "lineage": {}, "target": target(cloud)}
    return kind(task_id="make", disk_id=disk_id, **more)


def waiting_for_it(operator: Any, task: Any) -> TaskDeferred:
    """Return the deferral that waits for what was made, once that is listed."""
    waiting = deferred_by(operator, task)
    while waiting.method_name == "looked_late":
        fired(waiting)
        waiting = deferred_by(operator, task)
    return waiting


def made_by(cloud: Handle, run_id: str, kind: str = "instances") -> list[Any]:
    tag = run_tag("build_preloaded_disk", run_id)
    every = getattr(cloud.cloud, kind).values()
    return [each for each in every if each.tags.get(RUN_KEY) == tag]


def making(run: Run, run_id: str, **more: Any) -> Any:
    return context(run, **{"task_id": "make", "run_id": run_id, **more})


def undoing(run: Run, run_id: str) -> Any:
    return context(run, task_id="undo", run_id=run_id)


# -- a worker that dies right after the call, and a teardown that begins at once


def test_an_instance_that_nobody_knows_of_is_deleted(lagging: Handle, run_id: str) -> None:
    run = Run()
    with pytest.raises(Killed):
        instance(lagging, DyingInstance).execute(making(run, run_id))
    (made,) = made_by(lagging, run_id)
    teardown = DeleteInstanceOperator(task_id="undo", makers=["make"])
    assert perform(teardown, undoing(run, run_id)) == [made.instance_id]
    assert not made_by(lagging, run_id)
    assert not made_by(lagging, run_id, "disks")


def test_a_snapshot_that_nobody_knows_of_is_discarded(lagging: Handle, run_id: str) -> None:
    disk_id = perform(instance(lagging), making(Run(), run_id))["disk_id"]
    run = Run()
    with pytest.raises(Killed):
        snapshot(lagging, disk_id, DyingSnapshot).execute(making(run, run_id))
    (made,) = made_by(lagging, run_id, "snapshots")
    teardown = DiscardSnapshotsOperator(task_id="undo", makers=["make"])
    assert perform(teardown, undoing(run, run_id)) == [made.snapshot_id]
    assert not made_by(lagging, run_id, "snapshots")


def test_a_key_pair_that_nobody_knows_of_is_deleted(lagging: Handle, run_id: str) -> None:
    run, name = Run(), "nobody-knows"
    operator = ImportKeyPairOperator(task_id="make", key_pair_name=name, target=target(lagging))
    operator.__dict__["hook"] = DyingHook(operator.conn_id, account=operator.account)
    with pytest.raises(Killed):
        operator.execute(making(run, run_id))
    assert name in lagging.cloud.key_pairs
    teardown = DeleteKeyPairOperator(task_id="undo", makers=["make"])
    assert perform(teardown, undoing(run, run_id)) == [name]
    assert name not in lagging.cloud.key_pairs


def test_a_maker_that_left_no_note_is_looked_for_too(lagging: Handle, run_id: str) -> None:
    """Its next try had begun, which deletes the note, and was killed before it wrote its own."""
    run = Run()
    with pytest.raises(Killed):
        instance(lagging, DyingInstance).execute(making(run, run_id))
    run.begins_again("make")
    run.states["make"] = "failed"
    teardown = DeleteInstanceOperator(task_id="undo", makers=["make"])
    assert len(perform(teardown, undoing(run, run_id))) == 1
    assert not made_by(lagging, run_id)


@pytest.mark.parametrize("state", ["upstream_failed", "skipped", None])
def test_a_teardown_of_what_never_began_ends_at_once(
    lagging: Handle, run_id: str, state: str | None
) -> None:
    run = Run()
    run.states["make"] = state  # type: ignore[assignment]  # None is a state of Airflow's
    teardown = DeleteInstanceOperator(task_id="undo", makers=["make"])
    assert teardown.execute(undoing(run, run_id)) == []


# -- tries that see less than there is


def test_a_second_try_that_sees_nothing_gets_the_instance_of_the_first(
    lagging: Handle, run_id: str
) -> None:
    run = Run()
    with pytest.raises(Killed):
        instance(lagging, DyingInstance).execute(making(run, run_id))
    made = perform(instance(lagging), making(run, run_id, try_number=2))
    assert [each.instance_id for each in made_by(lagging, run_id)] == [made["instance_id"]]


def test_a_second_try_that_sees_nothing_gets_the_snapshot_of_the_first(
    lagging: Handle, run_id: str
) -> None:
    disk_id, run = perform(instance(lagging), making(Run(), run_id))["disk_id"], Run()
    with pytest.raises(Killed):
        snapshot(lagging, disk_id, DyingSnapshot).execute(making(run, run_id))
    made = perform(snapshot(lagging, disk_id), making(run, run_id, try_number=2))
    assert [each.snapshot_id for each in made_by(lagging, run_id, "snapshots")] == [made]


def test_a_name_that_is_taken_by_our_own_key_pair_of_just_now_is_waited_for(
    lagging: Handle, run_id: str
) -> None:
    run = Run()
    fields: dict[str, Any] = {"key_pair_name": "taken", "target": target(lagging)}
    operator = ImportKeyPairOperator(task_id="make", **fields)
    assert perform(operator, making(run, run_id)) == "taken"
    assert EcsHook().key_pair("taken") is None
    assert perform(operator, making(run, run_id, try_number=2)) == "taken"


def test_an_instance_whose_key_pair_is_not_known_everywhere_yet_is_asked_for_again(
    lagging: Handle, run_id: str
) -> None:
    run = Run()
    fields: dict[str, Any] = {"key_pair_name": "fresh", "target": target(lagging)}
    perform(ImportKeyPairOperator(task_id="import", **fields), context(run, task_id="import"))
    operator = instance(lagging, key_pair_name="fresh", makers=["import", "make"])
    assert perform(operator, making(run, run_id))["instance_id"]
    assert len(made_by(lagging, run_id)) == 1


def test_an_instance_is_stopped_right_after_it_was_made(lagging: Handle, run_id: str) -> None:
    run = Run()
    deferred_by(instance(lagging), making(run, run_id))
    made = made_by(lagging, run_id)[0].instance_id
    stop = StopInstanceOperator(task_id="stop", instance_id=made, makers=["make"])
    assert perform(stop, context(run, task_id="stop", run_id=run_id)) == made
    old = StopInstanceOperator(task_id="stop", instance_id="i-gone", makers=["make"])
    with pytest.raises(ResourceFailedError, match="i-gone is absent"):
        perform(old, context(run, task_id="stop", run_id=run_id))


def test_calls_on_what_is_not_known_yet_go_on_until_it_is(lagging: Handle, run_id: str) -> None:
    disk_id = perform(instance(lagging), making(Run(), run_id))["disk_id"]
    hook = EcsHook()
    made = hook.create_snapshot(disk_id, name="late", token=run_id, tags={})
    hook.tag_snapshot(made, sealed_tags("sha256:1"))
    assert lagging.cloud.snapshots[made].tags == sealed_tags("sha256:1")


def test_a_disk_that_is_listed_later_than_its_instance_is_waited_for_but_not_for_ever(
    lagging: Handle, run_id: str
) -> None:
    operator, task = instance(lagging), making(Run(), run_id)
    running = fired(waiting_for_it(operator, task))
    (made,) = made_by(lagging, run_id)
    hidden = dict.fromkeys(made.disk_ids, lagging.cloud.now() + timedelta(hours=1))
    lagging.cloud.disks._since |= hidden
    with pytest.raises(TaskDeferred) as once:
        operator.resume(task, running)
    assert once.value.method_name == "looked_late"
    with pytest.raises(WaitTimeoutError, match="is Running with 0 data disks"):
        operator.resume(task, running)
    lagging.cloud.disks.show_all()
    assert operator.resume(task, running)["disk_id"] in made.disk_ids


# -- what is deleted is listed for a while too


def test_a_teardown_that_runs_twice_at_once_ends_well(lagging: Handle, run_id: str) -> None:
    run = Run()
    made = perform(instance(lagging), making(run, run_id))["instance_id"]
    teardown = DeleteInstanceOperator(task_id="undo", makers=["make"])
    deferred_by(teardown, undoing(run, run_id))  # its worker dies; the instance is still listed
    assert perform(teardown, undoing(run, run_id)) == [made]
    assert perform(teardown, undoing(run, run_id)) == []
