"""The whole life of a node pool, by the official ACK SDK."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from emulator.app import Handle
from tests.emulator.sdk import cs_client


def description(facts: dict[str, Any], **group: Any) -> models.CreateClusterNodePoolRequest:
    scaling_group: dict[str, Any] = {
        "vswitch_ids": [facts["vswitch_id"]],
        "security_group_ids": [facts["security_group_id"]],
        "instance_types": [facts["instance_type"]],
        "instance_charge_type": "PostPaid",
        "image_type": "AliyunLinux3",
        "key_pair": "demo-nodes",
        "desired_size": 1,
        "system_disk_category": "cloud_essd",
        "system_disk_size": 120,
        "system_disk_performance_level": "PL1",
        "data_disks": [
            models.DataDisk(
                category="cloud_essd", size=40, performance_level="PL1", encrypted="false"
            )
        ],
        "tags": [models.CreateClusterNodePoolRequestScalingGroupTags(key="run", value="r")],
    }
    return models.CreateClusterNodePoolRequest(
        nodepool_info=models.CreateClusterNodePoolRequestNodepoolInfo(name="accel"),
        scaling_group=models.CreateClusterNodePoolRequestScalingGroup(**(scaling_group | group)),
        kubernetes_config=models.CreateClusterNodePoolRequestKubernetesConfig(
            runtime="containerd",
            pre_user_data="dG91Y2ggL3Zhci8uc2tpcC15dW0=",
            unschedulable=False,
            cms_enabled=False,
            taints=[models.Taint(key="only", value="x", effect="NoSchedule")],
        ),
        auto_scaling=models.CreateClusterNodePoolRequestAutoScaling(enable=False),
        management=models.CreateClusterNodePoolRequestManagement(enable=False),
    )


def modify(client: Client, cluster: str, pool: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a raw Modify: the SDK's own model would send lists that were never set."""
    params = Params(
        action="ModifyClusterNodePool",
        version="2015-12-15",
        protocol="HTTP",
        pathname=f"/clusters/{cluster}/nodepools/{pool}",
        method="PUT",
        auth_type="AK",
        style="ROA",
        req_body_type="json",
        body_type="json",
    )
    request = OpenApiRequest(headers={}, query={}, body=body)
    answer: dict[str, Any] = client.call_api(params, request, RuntimeOptions())["body"]
    return answer


@pytest.mark.slow
def test_a_pool_from_creation_to_deletion(cloud_handle: Handle) -> None:
    facts = cloud_handle.facts
    cs, cluster = cs_client(facts), facts["cluster_id"]

    def ended(task_id: str) -> None:
        cloud_handle.run_until(lambda: cs.describe_task_info(task_id).body.state != "running")
        assert cs.describe_task_info(task_id).body.state == "success"

    created = cs.create_cluster_node_pool(cluster, description(facts)).body
    pool = created.nodepool_id
    ended(created.task_id)
    detail = cs.describe_cluster_node_pool_detail(cluster, pool).body
    assert detail.status.state == "active"
    assert detail.scaling_group.data_disks[0].size == 40
    assert detail.kubernetes_config.taints[0].effect == "NoSchedule"
    wanted = models.DescribeClusterNodesRequest(nodepool_id=pool, page_size="50", state="all")
    (node,) = cs.describe_cluster_nodes(cluster, wanted).body.nodes
    assert (node.state, node.node_status) == ("running", "Ready")
    ended(modify(cs, cluster, pool, {"scaling_group": {"desired_size": 2}})["task_id"])
    nodes = cs.describe_cluster_nodes(cluster, wanted).body.nodes
    assert len(nodes) == 2
    remove = models.RemoveNodePoolNodesRequest(
        instance_ids=[nodes[1].instance_id], release_node=True, drain_node=True
    )
    ended(cs.remove_node_pool_nodes(cluster, pool, remove).body.task_id)
    add = models.ScaleClusterNodePoolRequest(count=1)
    ended(cs.scale_cluster_node_pool(cluster, pool, add).body.task_id)
    listed = cs.describe_cluster_node_pools(
        cluster, models.DescribeClusterNodePoolsRequest(nodepool_name="accel")
    ).body
    assert [each.nodepool_info.nodepool_id for each in listed.nodepools] == [pool]
    delete = models.DeleteClusterNodepoolRequest(force=True)
    ended(cs.delete_cluster_nodepool(cluster, pool, delete).body.task_id)
    with pytest.raises(ClientException) as caught:
        cs.describe_cluster_node_pool_detail(cluster, pool)
    assert (caught.value.code, caught.value.status_code) == ("ErrorNodePoolNotFound", 404)
    assert len(cloud_handle.cloud.instances) == 1, "only the seeded node is left"


def test_the_sdks_own_modify_model_is_refused_where_it_would_take_disks_away(
    cloud_handle: Handle,
) -> None:
    """Its lists are sent as ``[]`` when they were never set; what ACK then does is unknown."""
    request = models.ModifyClusterNodePoolRequest(
        scaling_group=models.ModifyClusterNodePoolRequestScalingGroup(desired_size=0)
    )
    facts = cloud_handle.facts
    cs = cs_client(facts)
    with pytest.raises(ClientException) as caught:
        cs.modify_cluster_node_pool(facts["cluster_id"], facts["node_pool_id"], request)
    assert caught.value.code == "EmulatorUnsupported"


def test_the_sdks_own_modify_model_is_refused_where_it_would_take_taints_away(
    cloud_handle: Handle,
) -> None:
    facts = cloud_handle.facts
    cs, cluster = cs_client(facts), facts["cluster_id"]
    created = cs.create_cluster_node_pool(cluster, description(facts, desired_size=0)).body
    cloud_handle.run_until(lambda: cs.describe_task_info(created.task_id).body.state != "running")
    config = models.ModifyClusterNodePoolRequestKubernetesConfig(unschedulable=True)
    request = models.ModifyClusterNodePoolRequest(kubernetes_config=config)
    with pytest.raises(ClientException) as caught:
        cs.modify_cluster_node_pool(cluster, created.nodepool_id, request)
    assert caught.value.code == "EmulatorUnsupported"
    assert "kubernetes_config.taints" in str(caught.value)


def test_the_seeded_world_is_described(cloud_handle: Handle) -> None:
    facts = cloud_handle.facts
    cs, cluster = cs_client(facts), facts["cluster_id"]
    assert cs.describe_cluster_detail(cluster).body.current_version == "1.32.1-aliyun.1"
    addons = cs.list_cluster_addon_instances(cluster).body.addons
    assert "kube-proxy" in {addon.name for addon in addons}
    request = models.DescribeClusterUserKubeconfigRequest(temporary_duration_minutes=60)
    config = yaml.safe_load(cs.describe_cluster_user_kubeconfig(cluster, request).body.config)
    assert config["clusters"][0]["cluster"]["server"] == facts["kube_url"]
    (node,) = cs.describe_cluster_nodes(
        cluster, models.DescribeClusterNodesRequest(nodepool_id=facts["node_pool_id"])
    ).body.nodes
    assert node.node_status == "Ready"


async def test_the_async_client_is_answered_alike(cloud_handle: Handle) -> None:
    facts = cloud_handle.facts
    cs, cluster = cs_client(facts), facts["cluster_id"]
    wanted = models.DescribeClusterNodesRequest(nodepool_id=facts["node_pool_id"])
    (node,) = (await cs.describe_cluster_nodes_async(cluster, wanted)).body.nodes
    assert node.node_status == "Ready"
    created = await cs.create_cluster_node_pool_async(cluster, description(facts, desired_size=0))
    assert created.body.nodepool_id.startswith("np")
    with pytest.raises(ClientException) as caught:
        await cs.create_cluster_node_pool_async(cluster, description(facts))
    assert caught.value.code == "InvalidParameter.Name"
