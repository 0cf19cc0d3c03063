"""Snapshots: one a disk and try, none left that failed."""

from __future__ import annotations

import asyncio

import pytest

from ack_preload.domain.errors import CloudError, ResourceFailedError, WaitTimeoutError
from ack_preload.domain.tags import EXPIRES_KEY, RUN_KEY
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.build_instance import RunBuildInstanceOperator, StopInstanceOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from ack_preload.triggers.probes import open_watch
from emulator.app import Handle
from tests.emulated.driving import context, deferred_by, fired, perform, target


@pytest.fixture
def disk_id(cloud: Handle) -> str:
    """Return the data disk of a stopped build instance."""
    made = perform(
        RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes")
    )
    perform(StopInstanceOperator(task_id="stop", instance_id=made["instance_id"]))
    return str(made["disk_id"])


def snapshot(cloud: Handle, disk_id: str) -> CreateSnapshotOperator:
    return CreateSnapshotOperator(
        task_id="snapshot",
        disk_id=disk_id,
        snapshot_name="preload-1",
        lineage={"ack-preload/lock": "sha256:1"},
        target=target(cloud),
    )


def test_it_returns_the_id_of_an_accomplished_snapshot(cloud: Handle, disk_id: str) -> None:
    snapshot_id = perform(snapshot(cloud, disk_id))
    found = EcsHook().snapshot(snapshot_id)
    assert found is not None
    assert (found.status, found.percent, found.source_disk_id) == ("accomplished", 100, disk_id)
    assert found.name == "preload-1"


def test_it_carries_our_tags_and_its_lineage(cloud: Handle, disk_id: str) -> None:
    snapshot_id = perform(snapshot(cloud, disk_id))
    found = EcsHook().snapshot(snapshot_id)
    assert found is not None
    assert found.tags[RUN_KEY] == "build_preloaded_disk/manual__1"
    assert found.tags["ack-preload/lock"] == "sha256:1"
    assert EXPIRES_KEY in found.tags


def test_a_second_try_finds_the_snapshot_of_the_first(cloud: Handle, disk_id: str) -> None:
    first = deferred_by(snapshot(cloud, disk_id))
    second = perform(snapshot(cloud, disk_id), context(try_number=2))
    assert fired(first)["id"] == second
    assert len(cloud.cloud.snapshots) == 1


def test_an_unknown_disk_keeps_the_clouds_own_error_code(cloud: Handle) -> None:
    with pytest.raises(CloudError) as caught:
        perform(snapshot(cloud, "d-missing"))
    assert caught.value.code == "InvalidDiskId.NotFound"
    assert caught.value.request_id != "unknown"


def test_a_snapshot_that_failed_is_deleted_and_raised(cloud: Handle, disk_id: str) -> None:
    operator = snapshot(cloud, disk_id)
    snapshot_id = perform(operator)
    event = {"verdict": "failed", "state": "failed", "id": snapshot_id, "detail": {}}
    with pytest.raises(ResourceFailedError, match=f"{snapshot_id} is failed"):
        operator.resume(context(), event)
    assert EcsHook().snapshot(snapshot_id) is None


def test_one_that_is_only_slow_is_kept(cloud: Handle, disk_id: str) -> None:
    operator = snapshot(cloud, disk_id)
    snapshot_id = perform(operator)
    event = {"verdict": "pending", "state": "progressing", "id": snapshot_id, "detail": {}}
    with pytest.raises(WaitTimeoutError, match="is progressing at the deadline"):
        operator.resume(context(), event)
    assert EcsHook().snapshot(snapshot_id) is not None


def test_a_refused_wait_raises_the_clouds_error(cloud: Handle, disk_id: str) -> None:
    detail = {"code": "Forbidden.RAM", "message": "no", "request_id": "4F2A"}
    event = {"verdict": "refused", "state": "Forbidden.RAM", "id": "s-1", "detail": detail}
    with pytest.raises(CloudError, match=r"Forbidden.RAM: s-1: no \(request 4F2A\)"):
        snapshot(cloud, disk_id).resume(context(), event)


def test_snapshots_are_found_by_their_tags(cloud: Handle, disk_id: str) -> None:
    snapshot_id = perform(snapshot(cloud, disk_id))
    found = EcsHook().snapshots({RUN_KEY: "build_preloaded_disk/manual__1"})
    assert [each.snapshot_id for each in found] == [snapshot_id]
    assert EcsHook().snapshots({RUN_KEY: "another"}) == []


def test_a_trigger_sees_a_missing_snapshot_as_absent(cloud: Handle, disk_id: str) -> None:
    async def look() -> str:
        async with open_watch("snapshot_gone", "alibabacloud_default") as watch:
            return (await watch({"snapshot_id": "s-gone"}, 0.0)).state

    assert asyncio.run(look()) == "absent"
