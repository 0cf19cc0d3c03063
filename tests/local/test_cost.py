"""What a chain used and left, as the meter of a local cloud tells it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alibabacloud_ecs20140526 import models

from ack_preload.domain.tags import Ownership, run_tag
from emulator.app import Handle
from local.chain import Chain, Stage
from local.cost import build_instance, cost_of
from local.leftovers import Kept, cloud_meter, leftovers
from tests.emulator.sdk import ecs_client
from tests.emulator.test_meter_account import HOUR_S, SLACK_S, order

START = datetime(2026, 11, 25, 2, 33, tzinfo=UTC)
NOTHING_KEPT = Kept(frozenset(), frozenset())
BUILD, EXPORT = "build_preloaded_disk", "export_image_list"


def chain(*stages: str) -> Chain:
    made = tuple(Stage(name, f"{name}_1", "success", START, START, ()) for name in stages)
    return Chain("nightly_1", "success", START, START, (), made)


def run_instance(handle: Handle, dag_id: str, *, ours: bool = True) -> str:
    """Order an instance as a run of ours does it, or somebody who only borrows its tag."""
    run = run_tag(dag_id, f"{dag_id}_1")
    request = order(handle.facts, run)
    if ours:
        tags = Ownership("demo", run, None, "tests").tags()
        request.tag = [models.RunInstancesRequestTag(key=k, value=v) for k, v in tags.items()]
    answer = ecs_client(handle.facts).run_instances(request)
    instance_id: str = answer.body.instance_id_sets.instance_id_set[0]
    handle.run_until(lambda: handle.cloud.instances[instance_id].status == "Running", step_s=0)
    return instance_id


def delete(handle: Handle, instance_id: str) -> None:
    request = models.DeleteInstanceRequest(instance_id=instance_id, force=True)
    ecs_client(handle.facts).delete_instance(request)
    handle.run_until(lambda: instance_id not in handle.cloud.instances, step_s=0)


@pytest.mark.slow
def test_each_stage_is_charged_for_its_own_run_only(cloud_handle: Handle) -> None:
    first = run_instance(cloud_handle, BUILD)
    run_instance(cloud_handle, "of_another_chain")
    cloud_handle.advance(HOUR_S)
    delete(cloud_handle, first)
    cloud_handle.advance(HOUR_S)

    meter = cloud_meter(cloud_handle.facts["control_url"])
    cost = cost_of(meter, chain(EXPORT, BUILD))
    export, build = cost["stages"]
    assert export == {
        "name": EXPORT,
        "run": "export_image_list/export_image_list_1",
        "instance_seconds": 0,
        "disk_gib_seconds": 0,
        "snapshot_gib_seconds": 0,
        "peak": {},
    }
    assert build["instance_seconds"] == pytest.approx(HOUR_S, abs=SLACK_S)
    assert build["disk_gib_seconds"] == pytest.approx(HOUR_S * 140, abs=SLACK_S * 140)
    assert build["peak"] == {"disk": 2, "instance": 1}
    assert cost["total"] == {unit: build[unit] for unit in cost["total"]}
    assert build_instance(cost) == (build["instance_seconds"], 1)


@pytest.mark.slow
def test_a_second_build_instance_shows_though_both_are_gone(cloud_handle: Handle) -> None:
    both = [run_instance(cloud_handle, BUILD) for _ in range(2)]
    for each in both:
        delete(cloud_handle, each)
    meter = cloud_meter(cloud_handle.facts["control_url"])
    assert build_instance(cost_of(meter, chain(BUILD)))[1] == 2
    assert leftovers(meter["alive"], NOTHING_KEPT) == []


@pytest.mark.slow
def test_what_is_alive_with_our_tag_is_left_over(cloud_handle: Handle) -> None:
    ours = run_instance(cloud_handle, BUILD)
    run_instance(cloud_handle, BUILD, ours=False)
    meter = cloud_meter(cloud_handle.facts["control_url"])
    disks = cloud_handle.cloud.instances[ours].disk_ids
    expected = sorted([f"instance {ours}", *(f"disk {disk}" for disk in disks)])
    assert leftovers(meter["alive"], NOTHING_KEPT) == expected
