"""Node pools: their states, and how they grow, change and go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.world import TASK_S, World, refused


async def test_a_new_pool_is_initial_then_scaling_until_its_nodes_are_ready(world: World) -> None:
    created = world.create_pool(desired_size=2)
    pool_id = created["nodepool_id"]
    assert world.detail(pool_id)["status"]["state"] == "initial"
    assert world.task(created["task_id"])["state"] == "running"
    await world.move(0)
    await world.move(TASK_S)
    assert world.detail(pool_id)["status"]["state"] == "scaling"
    assert [node["state"] for node in world.nodes(pool_id)] == ["initial", "initial"]
    await world.settle()
    status = world.detail(pool_id)["status"]
    assert (status["state"], status["total_nodes"], status["healthy_nodes"]) == ("active", 2, 2)
    task = world.task(created["task_id"])
    assert (task["state"], task["task_result"][0]["status"]) == ("success", "success")


async def test_a_pool_without_nodes_becomes_active(world: World) -> None:
    pool_id = await world.pool(desired_size=0)
    assert world.detail(pool_id)["status"] == {
        "state": "active",
        "total_nodes": 0,
        "healthy_nodes": 0,
        "serving_nodes": 0,
        "initial_nodes": 0,
        "failed_nodes": 0,
        "removing_nodes": 0,
        "offline_nodes": 0,
        "conditions": [],
    }


async def test_a_pool_in_transition_refuses_every_change(world: World) -> None:
    pool_id = world.create_pool(desired_size=1)["nodepool_id"]
    path = f"{world.pools()}/{pool_id}"
    with refused("InvalidStatus.Forbidden", 400):
        world.modify(pool_id, desired_size=0)
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("ScaleClusterNodePool", path, {"count": 1})
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("DeleteClusterNodepool", path, force="True")
    with refused("InvalidStatus.Forbidden", 400):
        world.ack("RemoveNodePoolNodes", f"{path}/nodes", instance_ids='["i-1"]')


async def test_scale_adds_and_modify_sets(world: World) -> None:
    pool_id = await world.pool(desired_size=1)
    task = world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", {"count": 2})
    await world.settle()
    assert world.detail(pool_id)["scaling_group"]["desired_size"] == 3
    assert world.task(task["task_id"])["task_type"] == "cluster_scaleout"
    oldest = world.nodes(pool_id)[0]["instance_id"]
    world.modify(pool_id, desired_size=1)
    assert world.detail(pool_id)["status"]["state"] == "removing"
    await world.settle()
    assert [node["instance_id"] for node in world.nodes(pool_id)] == [oldest]
    assert len(world.cloud.instances) == 1
    assert len(world.kube.store.list("nodes")) == 1


@pytest.mark.parametrize("body", [{}, {"count": 0}, {"count": 501}, {"count": "1"}], ids=str)
async def test_scale_wants_a_number_of_nodes(world: World, body: Any) -> None:
    pool_id = await world.pool()
    with refused("MissingParameter" if not body else "InvalidParameter"):
        world.ack("ScaleClusterNodePool", f"{world.pools()}/{pool_id}", body)


async def test_modify_keeps_what_is_not_named_and_changes_new_nodes_only(world: World) -> None:
    snapshot_id = await world.accomplished()
    pool_id = await world.pool(desired_size=1)
    disks = [{"category": "cloud_essd", "size": 40, "snapshot_id": snapshot_id}]
    task = world.modify(pool_id, data_disks=disks)
    assert world.detail(pool_id)["status"]["state"] == "updating"
    await world.settle()
    assert world.task(task["task_id"])["task_type"] == "nodepool_update"
    assert world.detail(pool_id)["scaling_group"]["data_disks"] == disks
    assert world.detail(pool_id)["scaling_group"]["desired_size"] == 1
    assert snapshot_id not in world.machines.disks.values()
    world.modify(pool_id, desired_size=2)
    await world.settle()
    assert list(world.machines.disks.values()).count(snapshot_id) == 1


LISTS: dict[str, list[dict[str, str]]] = {
    "scaling_group.data_disks": [{"category": "cloud_essd"}],
    "scaling_group.tags": [{"key": "run", "value": "r"}],
    "kubernetes_config.labels": [{"key": "arm", "value": "preloaded"}],
    "kubernetes_config.taints": [{"key": "only", "value": "x", "effect": "NoSchedule"}],
}


@pytest.mark.parametrize("path", LISTS)
async def test_modify_refuses_the_sdks_empty_list_where_it_would_take_something_away(
    world: World, path: str
) -> None:
    part, _, name = path.partition(".")
    body = world.description(desired_size=0)
    body[part] = {**body.get(part, {}), name: LISTS[path]}
    pool_id = world.ack("CreateClusterNodePool", world.pools(), body)["nodepool_id"]
    await world.settle()
    with refused("EmulatorUnsupported"):
        world.ack("ModifyClusterNodePool", f"{world.pools()}/{pool_id}", {part: {name: []}})
    assert world.detail(pool_id)[part][name] == LISTS[path]


@pytest.mark.parametrize(
    "path",
    [
        "nodepool_info.name",
        "scaling_group.image_type",
        "scaling_group.system_disk_category",
        "kubernetes_config.runtime",
        "kubernetes_config.runtime_version",
    ],
)
async def test_modify_takes_no_empty_text_for_a_value(world: World, path: str) -> None:
    pool_id = await world.pool(desired_size=0)
    part, _, name = path.partition(".")
    before = world.detail(pool_id)[part]
    with refused("InvalidParameter", 400):
        world.ack("ModifyClusterNodePool", f"{world.pools()}/{pool_id}", {part: {name: ""}})
    assert world.detail(pool_id)[part] == before


async def test_modify_takes_the_sdks_empty_lists_where_the_pool_has_none(world: World) -> None:
    pool_id = await world.pool(desired_size=0, data_disks=[])
    body: dict[str, Any] = {
        "scaling_group": {"data_disks": [], "tags": []},
        "kubernetes_config": {"labels": [], "taints": []},
    }
    task = world.ack("ModifyClusterNodePool", f"{world.pools()}/{pool_id}", body)
    await world.settle()
    assert world.task(task["task_id"])["state"] == "success"


async def test_a_pool_that_lacks_nodes_grows_even_to_less_than_was_desired(world: World) -> None:
    world.machines.fails.add("address")
    pool_id = await world.pool(desired_size=3)
    assert world.nodes(pool_id) == []
    world.machines.fails.clear()
    task = world.modify(pool_id, desired_size=2)
    assert world.detail(pool_id)["status"]["state"] == "scaling"
    await world.settle()
    assert world.task(task["task_id"])["task_type"] == "cluster_scaleout"
    assert len(world.nodes(pool_id)) == 2


async def test_a_pool_with_nodes_is_deleted_by_force_only(world: World) -> None:
    pool_id = await world.pool(desired_size=2)
    path = f"{world.pools()}/{pool_id}"
    with refused("NodePoolNotEmpty", 400):
        world.ack("DeleteClusterNodepool", path)
    task = world.ack("DeleteClusterNodepool", path, force="True")
    assert world.detail(pool_id)["status"]["state"] == "deleting"
    await world.settle()
    assert world.task(task["task_id"])["state"] == "success"
    with refused("ErrorNodePoolNotFound", 404):
        world.detail(pool_id)
    assert not world.cloud.instances
    assert not world.cloud.disks
    assert not world.machines.disks
    assert not world.kube.store.list("nodes")


async def test_an_empty_pool_is_deleted_without_force(world: World) -> None:
    pool_id = await world.pool(desired_size=0)
    world.ack("DeleteClusterNodepool", f"{world.pools()}/{pool_id}")
    await world.settle()
    assert not world.cloud.node_pools
