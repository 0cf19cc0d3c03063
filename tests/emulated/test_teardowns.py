"""Teardowns of ECS resources: all that is ours goes, one refusal or foreign thing aside."""

from __future__ import annotations

from typing import Any

import pytest

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    ForeignResourceError,
    ThrottledError,
)
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
    StopInstanceOperator,
)
from ack_preload.operators.key_pair import (
    WAITS_UNTIL,
    DeleteKeyPairOperator,
    ImportKeyPairOperator,
)
from ack_preload.operators.retry_policy import TEARDOWN_POLICY
from ack_preload.operators.snapshot import DiscardSnapshotsOperator
from emulator.app import Handle
from emulator.faults import Throttle
from tests.emulated.bad_line import BadLine, Fault
from tests.emulated.driving import (
    INSTALLATION,
    Run,
    connection,
    context,
    deferred_by,
    fired,
    perform,
    target,
)

pytestmark = pytest.mark.usefixtures("node_pool_history")


def built(cloud: Handle, run_id: str = "manual__1", key: str = "demo-nodes") -> dict[str, Any]:
    operator = RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name=key)
    made: dict[str, Any] = perform(operator, context(run_id=run_id))
    return made


def as_installation(name: str, cloud: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    text = connection(cloud.facts, installation=name)
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", text)


def test_one_refusal_does_not_keep_the_others(cloud_handle: Handle, line: BadLine) -> None:
    operator = RunBuildInstanceOperator(
        task_id="run", target=target(cloud_handle), key_pair_name="demo-nodes"
    )
    task = context()
    owner = operator.ownership(task, target(cloud_handle))
    both = sorted(operator.ask(task, owner, salt) for salt in ("one", "two"))
    line.faults["DeleteInstance"] = [Fault.REFUSED]
    with pytest.raises(CloudError, match=r"Forbidden\.RAM") as refused:
        perform(DeleteInstanceOperator(task_id="delete"))
    assert refused.value.__notes__ == [f"instance {both[0]}"]
    assert line.actions.count("DeleteInstance") == 2
    cloud_handle.run_until(lambda: both[1] not in cloud_handle.cloud.instances)
    # Airflow tries it again: what is left goes too.
    assert perform(DeleteInstanceOperator(task_id="delete"), context(try_number=2)) == both[:1]


def test_a_foreign_instance_that_is_named_does_not_keep_ours(cloud: Handle) -> None:
    foreign = next(iter(cloud.cloud.instances))  # of the seeded node pool
    made = built(cloud)["instance_id"]
    delete = DeleteInstanceOperator(task_id="delete", instance_id=foreign)
    with pytest.raises(ForeignResourceError, match=f"instance {foreign} lacks the tag"):
        perform(delete)
    cloud.run_until(lambda: made not in cloud.cloud.instances)
    assert foreign in cloud.cloud.instances


def test_another_installation_with_the_same_run_is_left_alone(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scheduled runs have the same ids everywhere, so two Airflows meet on one account."""
    as_installation("other", cloud, monkeypatch)
    theirs = built(cloud)
    perform(ImportKeyPairOperator(task_id="k", key_pair_name="theirs", target=target(cloud)))
    perform(StopInstanceOperator(task_id="stop", instance_id=theirs["instance_id"]))
    snapshot = EcsHook().create_snapshot(
        theirs["disk_id"],
        name="theirs",
        token="theirs",
        tags=cloud.cloud.instances[theirs["instance_id"]].tags.copy(),
    )
    as_installation(INSTALLATION, cloud, monkeypatch)
    ours = built(cloud)
    assert ours["instance_id"] != theirs["instance_id"], "not adopted"
    assert perform(DeleteInstanceOperator(task_id="delete")) == [ours["instance_id"]]
    assert perform(DeleteKeyPairOperator(task_id="delete")) == []
    assert perform(DiscardSnapshotsOperator(task_id="discard")) == []
    assert theirs["instance_id"] in cloud.cloud.instances
    assert "theirs" in cloud.cloud.key_pairs
    assert snapshot in cloud.cloud.snapshots
    told = "belongs to the installation other, and this one is tests; to take it over set"
    for refused in (
        DeleteInstanceOperator(task_id="delete", instance_id=theirs["instance_id"]),
        DeleteKeyPairOperator(task_id="delete", key_pair_name="theirs"),
        ImportKeyPairOperator(task_id="k", key_pair_name="theirs", target=target(cloud)),
    ):
        with pytest.raises(ForeignResourceError, match=told):
            perform(refused)


def test_what_another_installation_left_is_taken_over_under_its_name(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_installation("lost", cloud, monkeypatch)
    made = built(cloud)["instance_id"]
    as_installation(INSTALLATION, cloud, monkeypatch)
    assert perform(DeleteInstanceOperator(task_id="delete")) == []
    as_installation("lost", cloud, monkeypatch)
    assert perform(DeleteInstanceOperator(task_id="delete")) == [made]


def test_a_key_pair_that_an_instance_uses_is_waited_for_without_a_worker(cloud: Handle) -> None:
    perform(ImportKeyPairOperator(task_id="k", key_pair_name="used", target=target(cloud)))
    made = built(cloud, key="used")["instance_id"]
    run = Run()
    operator = DeleteKeyPairOperator(task_id="undo")
    task = context(run, task_id="undo")
    waiting = deferred_by(operator, task)
    assert waiting.method_name == "looked_late"
    EcsHook().delete_instance(made)
    cloud.run_until(lambda: made not in cloud.cloud.instances)
    assert operator.looked_late(task, fired(waiting)) == ["used"]
    assert "used" not in cloud.cloud.key_pairs


def test_a_key_pair_that_stays_in_use_is_an_error_at_the_deadline(cloud: Handle) -> None:
    perform(ImportKeyPairOperator(task_id="k", key_pair_name="used", target=target(cloud)))
    built(cloud, key="used")
    run = Run()
    operator, task = DeleteKeyPairOperator(task_id="undo"), context(run, task_id="undo")
    deferred_by(operator, task)
    run.xcoms["undo", WAITS_UNTIL] = "2026-01-01T00:00:00+00:00"
    with pytest.raises(CloudUnavailableError, match="KeypairAlreadyAttachedInstance"):
        operator.execute(task)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.BROKEN, Fault.DOWN, Fault.THROTTLED])
def test_an_unclear_end_of_a_snapshot_is_an_end(
    cloud_handle: Handle, line: BadLine, fault: Fault
) -> None:
    made = built(cloud_handle)
    tags = cloud_handle.cloud.instances[made["instance_id"]].tags.copy()
    EcsHook().create_snapshot(made["disk_id"], name="unproven", token="t", tags=tags)
    line.faults["DeleteSnapshot"] = [fault]
    assert len(perform(DiscardSnapshotsOperator(task_id="discard"))) == 1
    assert not cloud_handle.cloud.snapshots


def test_a_pause_beyond_the_budget_goes_to_airflow_with_the_error(cloud: Handle) -> None:
    made = built(cloud)["instance_id"]
    delete = DeleteInstanceOperator(task_id="delete")
    slow = Throttle(target="DeleteInstance", retry_after_s=90)
    with cloud.fault(slow), pytest.raises(ThrottledError) as refused:
        perform(delete)
    assert refused.value.retry_after_s == 90
    delay = TEARDOWN_POLICY.evaluate(refused.value, 1, 6).retry_delay
    assert delay is not None
    assert delay.total_seconds() >= 120
    assert perform(delete, context(try_number=2)) == [made]
