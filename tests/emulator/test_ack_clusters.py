"""The cluster, its kubeconfig and add-ons, tasks, and calls that go nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from emulator import seed
from emulator.ack import ACTIONS
from tests.emulator.world import World, refused

CLUSTERS = "/api/v1/clusters"


async def test_the_cluster_is_described(world: World) -> None:
    body = world.ack("DescribeClusterDetail", f"/clusters/{world.cluster}")
    assert body["cluster_id"] == world.cluster
    assert body["current_version"] == "1.32.1-aliyun.1"
    assert body["state"] == "running"
    assert body["region_id"] == "cn-hangzhou"


async def test_clusters_are_listed_by_pages_and_as_their_detail_says(world: World) -> None:
    first = world.cloud.clusters[world.cluster]
    for number in (1, 2):
        other = replace(first, cluster_id=f"c{number:032}", name=f"other-{number}")
        world.cloud.clusters[other.cluster_id] = other
    listed = world.ack("DescribeClustersV1", CLUSTERS, page_size=2)
    assert [each["name"] for each in listed["clusters"]] == ["demo", "other-1"]
    assert listed["page_info"] == {"page_number": 1, "page_size": 2, "total_count": 3}
    assert listed["clusters"][0] == world.ack("DescribeClusterDetail", f"/clusters/{world.cluster}")
    rest = world.ack("DescribeClustersV1", CLUSTERS, page_size=2, page_number=2)
    assert [each["name"] for each in rest["clusters"]] == ["other-2"]
    beyond = world.ack("DescribeClustersV1", CLUSTERS, page_size=2, page_number=3)
    assert beyond["clusters"] == []
    assert beyond["page_info"]["total_count"] == 3


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        pytest.param({"name": "em"}, 1, id="part of a name"),
        pytest.param({"name": "x"}, 0, id="no such name"),
        pytest.param({"cluster_id": seed.CLUSTER_ID}, 1, id="id"),
        pytest.param({"cluster_id": seed.CLUSTER_ID[:-1]}, 0, id="part of an id"),
        pytest.param({"region_id": "cn-hangzhou"}, 1, id="region"),
        pytest.param({"region_id": "cn-beijing"}, 0, id="another region"),
        pytest.param({"cluster_type": "ManagedKubernetes"}, 1, id="type"),
        pytest.param({"cluster_type": "Kubernetes"}, 0, id="another type"),
    ],
)
async def test_clusters_are_found_by(world: World, asked: dict[str, str], count: int) -> None:
    assert len(world.ack("DescribeClustersV1", CLUSTERS, **asked)["clusters"]) == count


async def test_what_a_list_of_clusters_cannot_be_asked(world: World) -> None:
    for wrong in ({"page_size": 0}, {"page_size": 51}, {"page_number": 0}, {"cluster_type": "Ask"}):
        with refused("InvalidParameter"):
            world.ack("DescribeClustersV1", CLUSTERS, **wrong)
    with refused("EmulatorUnsupported"):
        world.ack("DescribeClustersV1", CLUSTERS, profile="Default")


async def test_a_kubeconfig_has_address_authority_and_token(world: World) -> None:
    path = f"/k8s/{world.cluster}/user_config"
    body = world.ack("DescribeClusterUserKubeconfig", path, TemporaryDurationMinutes=60)
    config = yaml.safe_load(body["config"])
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert config["users"][0]["user"]["token"] == world.kube.admin_token
    expiration = world.cloud.now() + timedelta(minutes=60)
    assert body["expiration"][:16] == f"{expiration:%Y-%m-%dT%H:%M}"
    for minutes in (14, 4321, "long"):
        with refused("InvalidParameter"):
            world.ack("DescribeClusterUserKubeconfig", path, TemporaryDurationMinutes=minutes)


async def test_addons_have_the_versions_of_the_system_images(world: World) -> None:
    body = world.ack("ListClusterAddonInstances", f"/clusters/{world.cluster}/addon_instances")
    assert body["addons"] == [
        {"name": "kube-proxy", "version": "v1.32.1-aliyun.1", "state": "active"}
    ]


async def test_pools_are_found_by_name(world: World) -> None:
    await world.pool("one")
    await world.pool("two")
    body = world.ack("DescribeClusterNodePools", world.pools(), NodepoolName="two")
    assert [pool["nodepool_info"]["name"] for pool in body["nodepools"]] == ["two"]
    assert len(world.ack("DescribeClusterNodePools", world.pools())["nodepools"]) == 2


@pytest.mark.parametrize(
    ("action", "path", "code"),
    [
        ("DescribeClusterDetail", "/clusters/c-x", "ErrorClusterNotFound"),
        ("DescribeClusterNodePools", "/clusters/c-x/nodepools", "ErrorClusterNotFound"),
        ("DescribeClusterNodes", "/clusters/c-x/nodes", "ErrorClusterNotFound"),
        ("DescribeClusterUserKubeconfig", "/k8s/c-x/user_config", "ErrorClusterNotFound"),
        ("DescribeTaskInfo", "/tasks/T-x", "ErrorTaskNotFound"),
    ],
)
async def test_what_is_unknown_is_not_found(
    world: World, action: str, path: str, code: str
) -> None:
    with refused(code, 404):
        world.ack(action, path)


async def test_header_and_path_must_name_the_same_action(world: World) -> None:
    with refused("InvalidParameter"):
        world.ack("DescribeClusterNodePools", f"/clusters/{world.cluster}/nodes")
    with refused("InvalidAction.NotFound", 404):
        world.ack("DescribeClusterNodePools", "/nowhere")


async def test_an_action_that_is_not_here_is_refused(world: World) -> None:
    assert "CancelTask" not in ACTIONS
    with refused("EmulatorUnsupported"):
        world.ack_raw("CancelTask", "POST", "/tasks/T-1/cancel")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000], ids=len)
async def test_a_body_that_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    with refused("InvalidRequestBody", 400):
        world.ack_raw("CreateClusterNodePool", "POST", world.pools(), body)
