"""The build instance: made once whatever happens, and gone afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ack_preload.domain.errors import (
    CloudUnavailableError,
    ForeignResourceError,
    InvalidInputError,
    ResourceFailedError,
    WaitTimeoutError,
)
from ack_preload.domain.tags import EXPIRES_KEY, RUN_KEY, moment
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
    StopInstanceOperator,
)
from ack_preload.operators.key_pair import DeleteKeyPairOperator, ImportKeyPairOperator
from emulator.app import Handle
from emulator.ecs.resources import DiskStatus
from tests.emulated.driving import context, deferred_by, fired, perform, target

KEY_PAIR = "ack-preload-test"


def run_instance(cloud: Handle, **changes: Any) -> RunBuildInstanceOperator:
    return RunBuildInstanceOperator(
        task_id="run", target=target(cloud), key_pair_name="demo-nodes", **changes
    )


def built(cloud: Handle) -> list[Any]:
    """Return the instances that are ours, live or not."""
    return [i for i in cloud.cloud.instances.values() if RUN_KEY in i.tags]


def test_it_returns_the_ids_that_later_tasks_need(cloud: Handle) -> None:
    made = perform(run_instance(cloud))
    (instance,) = built(cloud)
    disk = next(d for d in cloud.cloud.disks.values() if d.disk_id == made["disk_id"])
    assert made == {
        "instance_id": instance.instance_id,
        "disk_id": disk.disk_id,
        "disk_serial": disk.serial,
        "private_ip": instance.private_ip,
    }


def test_instance_and_disks_carry_our_tags_and_a_release_time(cloud: Handle) -> None:
    made = perform(run_instance(cloud))
    (instance,) = built(cloud)
    assert instance.tags[RUN_KEY] == "build_preloaded_disk/manual__1"
    assert instance.auto_release == moment(instance.tags[EXPIRES_KEY])
    disks = [d for d in cloud.cloud.disks.values() if d.instance_id == made["instance_id"]]
    assert len(disks) == 2
    assert all(disk.tags == instance.tags for disk in disks)


def test_a_second_try_finds_the_instance_of_the_first(cloud: Handle) -> None:
    first = deferred_by(run_instance(cloud))
    second = perform(run_instance(cloud), context(try_number=2))
    assert fired(first)["id"] == second["instance_id"]
    assert len(built(cloud)) == 1


def test_a_cleared_task_gets_an_instance_of_its_own(cloud: Handle) -> None:
    first = perform(run_instance(cloud))
    perform(DeleteInstanceOperator(task_id="delete"))
    second = perform(run_instance(cloud), context(max_tries=4))
    assert first["instance_id"] != second["instance_id"]


def test_a_run_that_is_cleared_late_pays_for_one_instance(cloud: Handle) -> None:
    spent = perform(run_instance(cloud))["instance_id"]
    perform(StopInstanceOperator(task_id="stop", instance_id=spent))
    made = perform(run_instance(cloud), context(max_tries=4))
    assert [each.instance_id for each in built(cloud)] == [made["instance_id"]] != [spent]


def test_the_stopped_instance_of_another_run_stays(cloud: Handle) -> None:
    other = perform(run_instance(cloud), context(run_id="manual__2"))["instance_id"]
    perform(StopInstanceOperator(task_id="stop", instance_id=other))
    perform(run_instance(cloud))
    assert other in cloud.cloud.instances


def test_the_target_may_come_as_json(cloud: Handle) -> None:
    operator = run_instance(cloud)
    operator.target = json.dumps(target(cloud))
    assert perform(operator)["instance_id"]


def test_a_wrong_size_is_refused_before_the_first_call(cloud: Handle) -> None:
    with pytest.raises(InvalidInputError, match="disk_gib is 20; use 40 to 32768 GiB"):
        perform(run_instance(cloud, disk_gib=20))
    assert not built(cloud)


def test_what_is_no_mapping_is_refused(cloud: Handle) -> None:
    operator = run_instance(cloud)
    operator.target = "demo"
    with pytest.raises(InvalidInputError, match="target is 'demo'; pass a mapping or its JSON"):
        perform(operator)


def test_stopping_waits_until_it_is_stopped(cloud: Handle) -> None:
    instance_id = perform(run_instance(cloud))["instance_id"]
    stop = StopInstanceOperator(task_id="stop", instance_id=instance_id)
    assert perform(stop) == instance_id
    assert cloud.cloud.instances[instance_id].status == "Stopped"


def test_stopping_twice_is_stopping_once(cloud: Handle) -> None:
    instance_id = perform(run_instance(cloud))["instance_id"]
    deferred_by(StopInstanceOperator(task_id="stop", instance_id=instance_id))
    stop = StopInstanceOperator(task_id="stop", instance_id=instance_id)
    assert perform(stop) == instance_id


def test_stopping_what_is_gone_fails_and_says_what_to_do(cloud: Handle) -> None:
    stop = StopInstanceOperator(task_id="stop", instance_id="i-gone")
    with pytest.raises(ResourceFailedError, match="i-gone is absent; run the build again"):
        perform(stop)


def test_an_instance_that_still_starts_cannot_be_stopped(cloud: Handle) -> None:
    cloud.cloud.settings = replace(cloud.cloud.settings, instance_boot_s=3600)
    instance_id = deferred_by(run_instance(cloud)).trigger.subject["instance_id"]
    stop = StopInstanceOperator(task_id="stop", instance_id=instance_id)
    with pytest.raises(CloudUnavailableError) as caught:
        perform(stop)
    assert caught.value.code == "IncorrectInstanceStatus.Initializing"


def test_a_disk_that_was_taken_off_goes_too(cloud: Handle) -> None:
    disk = cloud.cloud.disks[perform(run_instance(cloud))["disk_id"]]
    loose = replace(disk, disk_id="d-loose", instance_id="", status=DiskStatus.AVAILABLE)
    cloud.cloud.disks["d-loose"] = loose
    perform(DeleteInstanceOperator(task_id="delete"))
    assert "d-loose" not in cloud.cloud.disks


def test_nothing_is_left_after_deleting(cloud: Handle) -> None:
    made = perform(run_instance(cloud))
    before = set(cloud.cloud.disks)
    gone = perform(DeleteInstanceOperator(task_id="delete", instance_id=made["instance_id"]))
    assert gone == [made["instance_id"]]
    assert not built(cloud)
    assert made["disk_id"] in before - set(cloud.cloud.disks)


def test_an_instance_whose_id_was_never_passed_on_goes_too(cloud: Handle) -> None:
    deferred_by(run_instance(cloud))
    assert len(perform(DeleteInstanceOperator(task_id="delete", instance_id=""))) == 1
    assert not built(cloud)


def test_deleting_again_finds_nothing_to_do(cloud: Handle) -> None:
    made = perform(run_instance(cloud))
    perform(DeleteInstanceOperator(task_id="delete"))
    again = DeleteInstanceOperator(task_id="delete", instance_id=made["instance_id"])
    assert perform(again) == []


def test_a_foreign_instance_is_never_deleted(cloud: Handle) -> None:
    foreign = next(iter(cloud.cloud.instances))
    delete = DeleteInstanceOperator(task_id="delete", instance_id=foreign)
    with pytest.raises(ForeignResourceError, match="it is not ours"):
        perform(delete)
    assert foreign in cloud.cloud.instances


def test_instances_of_another_run_stay(cloud: Handle) -> None:
    perform(run_instance(cloud))
    other = context(run_id="manual__2")
    assert perform(DeleteInstanceOperator(task_id="delete"), other) == []
    assert len(built(cloud)) == 1


def test_an_instance_that_vanishes_fails_the_task(cloud: Handle) -> None:
    stopped = perform(run_instance(cloud))["instance_id"]
    waiting = deferred_by(StopInstanceOperator(task_id="stop", instance_id=stopped))
    perform(DeleteInstanceOperator(task_id="delete"))
    stop = StopInstanceOperator(task_id="stop", instance_id=stopped)
    with pytest.raises(ResourceFailedError, match=f"{stopped} is absent"):
        stop.resume(context(), fired(waiting))


def test_an_instance_without_disk_is_not_taken_for_ready(cloud: Handle) -> None:
    operator = run_instance(cloud)
    made = perform(operator)
    event = {
        "verdict": "done",
        "state": "Running",
        "id": "i-1",
        "detail": {"instance_id": "i-1", "private_ip": made["private_ip"]},
    }
    with pytest.raises(WaitTimeoutError, match="i-1 is Running with 0 data disks"):
        operator.resume(context(), event)


def test_the_key_pair_of_a_run_comes_and_goes(cloud: Handle) -> None:
    make = ImportKeyPairOperator(task_id="k", key_pair_name=KEY_PAIR, target=target(cloud))
    assert perform(make) == KEY_PAIR
    assert perform(make, context(try_number=2)) == KEY_PAIR
    assert cloud.cloud.key_pairs[KEY_PAIR].public_key.startswith("ssh-ed25519 ")
    assert perform(DeleteKeyPairOperator(task_id="d", key_pair_name=KEY_PAIR)) == [KEY_PAIR]
    assert perform(DeleteKeyPairOperator(task_id="d", key_pair_name=KEY_PAIR)) == []


def test_a_key_pair_of_another_run_is_not_taken_over(cloud: Handle) -> None:
    make = ImportKeyPairOperator(task_id="k", key_pair_name=KEY_PAIR, target=target(cloud))
    perform(make)
    with pytest.raises(ForeignResourceError, match="is of the run"):
        perform(make, context(run_id="manual__2"))


def test_a_foreign_key_pair_is_never_deleted(cloud: Handle) -> None:
    delete = DeleteKeyPairOperator(task_id="d", key_pair_name="demo-nodes")
    with pytest.raises(ForeignResourceError, match="it is not ours"):
        perform(delete)
    assert "demo-nodes" in cloud.cloud.key_pairs
