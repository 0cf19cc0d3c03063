"""One snapshot for one disk and task: never two, and never one that failed."""

from __future__ import annotations

from typing import Any

import pytest

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.operators.build_instance import StopInstanceOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from emulator.app import Handle
from emulator.faults import SnapshotFailed
from tests.emulated.bad_line import BadLine
from tests.emulated.driving import Run, perform, target
from tests.emulated.trying import a_try, run_instance, tokens


@pytest.fixture
def disk_id(cloud_handle: Handle, line: BadLine) -> str:
    made = perform(run_instance(cloud_handle), a_try(Run()))
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


@pytest.mark.parametrize("again", [{"try_number": 2}, {"max_tries": 3}], ids=["retry", "clear"])
def test_a_snapshot_that_failed_is_deleted_and_the_next_has_a_token_of_its_own(
    cloud_handle: Handle, line: BadLine, disk_id: str, again: dict[str, Any]
) -> None:
    run = Run()
    with (
        cloud_handle.fault(SnapshotFailed(target=disk_id)),
        pytest.raises(ResourceFailedError, match="is failed"),
    ):
        perform(snapshot(cloud_handle, disk_id), a_try(run, task_id="snapshot"))
    assert not cloud_handle.cloud.snapshots, "the failed one is deleted"
    made = perform(snapshot(cloud_handle, disk_id), a_try(run, task_id="snapshot", **again))
    assert [*cloud_handle.cloud.snapshots] == [made]
    assert len(set(tokens(line, "CreateSnapshot"))) == 2


def test_a_snapshot_is_found_even_when_the_cloud_forgot_the_token(
    cloud_handle: Handle, line: BadLine, disk_id: str
) -> None:
    made = perform(snapshot(cloud_handle, disk_id), a_try(Run(), task_id="snapshot"))
    cloud_handle.cloud.tokens._known.clear()
    # Not even the state store is there any more.
    again = perform(snapshot(cloud_handle, disk_id), a_try(Run(), task_id="snapshot", max_tries=9))
    assert again == made
