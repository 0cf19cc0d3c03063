from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.node_pools import (
    ACCELERATOR_LABEL,
    SKIP_YUM,
    Node,
    NodePoolView,
    PoolSpec,
)


def target(**pool: Any) -> dict[str, Any]:
    wanted = {"instance_types": ["ecs.c7.xlarge"], "vswitch_ids": ["vsw-1"]}
    return {
        "name": "qwen",
        "cluster_id": "c1",
        "source": {"node_pool_id": "np-source"},
        "build": {"disk_gib": 60},
        "pool": wanted | pool,
    }


def body(snapshot_id: str | None = "s-1", **pool: Any) -> dict[str, Any]:
    spec = PoolSpec.from_mapping(target(**pool))
    return spec.body(
        name="canary",
        snapshot_id=snapshot_id,
        desired_size=1,
        runtime_version="1.6.20",
        tags={"ack-preload/run": "dag/run"},
    )


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def test_the_last_disk_comes_from_the_snapshot_and_is_left_as_it_is() -> None:
    assert body()["scaling_group"]["data_disks"] == [
        {"category": "cloud_essd", "size": 60, "performance_level": "PL1", "snapshot_id": "s-1"}
    ]


def test_both_arms_differ_by_the_snapshot_alone() -> None:
    preloaded, baseline = body("s-1"), body(None)
    del preloaded["scaling_group"]["data_disks"][-1]["snapshot_id"]
    assert preloaded == baseline


def test_a_baseline_may_have_a_disk_of_its_own_size() -> None:
    disks = body(None, data_disk_gib=120)["scaling_group"]["data_disks"]
    assert disks[-1]["size"] == 120
    assert body("s-1", data_disk_gib=120)["scaling_group"]["data_disks"][-1]["size"] == 60


def test_yum_is_skipped_before_acks_own_script_runs() -> None:
    config = body()["kubernetes_config"]
    assert decoded(config["pre_user_data"]) == f"#!/bin/bash\n{SKIP_YUM}"
    assert "user_data" not in config


def test_yum_can_be_skipped_where_older_pages_say_it() -> None:
    config = body(skip_yum="post")["kubernetes_config"]
    assert decoded(config["user_data"]) == f"#!/bin/bash\n{SKIP_YUM}"
    assert "pre_user_data" not in config


def test_yum_can_be_skipped_in_both_places() -> None:
    config = body(skip_yum="both")["kubernetes_config"]
    assert SKIP_YUM in decoded(config["pre_user_data"])
    assert SKIP_YUM in decoded(config["user_data"])


def test_a_script_of_the_target_follows() -> None:
    config = body(pre_user_data="echo hello\n")["kubernetes_config"]
    assert decoded(config["pre_user_data"]) == f"#!/bin/bash\n{SKIP_YUM}echo hello\n"


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'never'; use one of pre, post, both"):
        body(skip_yum="never")


def test_the_runtime_is_the_one_asked_for() -> None:
    config = body()["kubernetes_config"]
    assert (config["runtime"], config["runtime_version"]) == ("containerd", "1.6.20")


def test_ack_scales_and_repairs_nothing_by_itself() -> None:
    assert body()["auto_scaling"] == {"enable": False}
    assert body()["management"] == {"enable": False}


def test_labels_taints_key_pair_and_security_groups_are_passed_on() -> None:
    taint = {"key": "preload", "value": "canary", "effect": "NoSchedule"}
    made = body(
        labels={"a": "b"}, taints=[taint], key_pair="demo-nodes", security_group_ids=["sg-1"]
    )
    assert made["kubernetes_config"]["labels"] == [{"key": "a", "value": "b"}]
    assert made["kubernetes_config"]["taints"] == [taint]
    assert made["scaling_group"]["key_pair"] == "demo-nodes"
    assert made["scaling_group"]["security_group_ids"] == ["sg-1"]
    assert made["scaling_group"]["tags"] == [{"key": "ack-preload/run", "value": "dag/run"}]


def test_what_is_not_set_is_not_sent() -> None:
    group = body()["scaling_group"]
    assert "key_pair" not in group
    assert "security_group_ids" not in group


def test_a_disk_without_levels_gets_none() -> None:
    made = body(system_disk_category="cloud_auto", data_disk_category="cloud_auto")
    assert "performance_level" not in made["scaling_group"]["data_disks"][-1]
    assert "system_disk_performance_level" not in made["scaling_group"]


def test_a_baseline_can_run_on_another_system() -> None:
    spec = PoolSpec.from_mapping(target())
    assert spec.on("ContainerOS").image_type == "ContainerOS"
    assert spec.on(None) is spec


def test_the_image_accelerator_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="remove the label"):
        body(labels={ACCELERATOR_LABEL: "true"})


def test_the_image_accelerator_may_be_off_by_name() -> None:
    assert body(labels={ACCELERATOR_LABEL: "false"})["kubernetes_config"]["labels"]


@pytest.mark.parametrize("field", ["instance_types", "vswitch_ids"])
def test_a_missing_field_of_the_pool_is_named(field: str) -> None:
    missing: dict[str, Any] = {field: []}
    with pytest.raises(InvalidInputError, match=f"pool.{field} is missing"):
        body(**missing)


def test_a_missing_source_pool_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"source\.node_pool_id is missing"):
        PoolSpec.from_mapping(target() | {"source": None})


def pool_view(**group: Any) -> NodePoolView:
    return NodePoolView.from_api(
        {
            "nodepool_info": {"nodepool_id": "np-1", "name": "canary"},
            "scaling_group": group,
            "kubernetes_config": {"runtime_version": "1.6.20"},
            "status": {"state": "active", "total_nodes": 1},
        }
    )


def test_a_node_pool_is_read() -> None:
    pool = pool_view(
        desired_size=1,
        tags=[{"key": "a", "value": "b"}],
        data_disks=[{"size": 40}, {"size": 60, "snapshot_id": "s-1"}],
    )
    assert (pool.node_pool_id, pool.state, pool.desired_size, pool.total_nodes) == (
        "np-1",
        "active",
        1,
        1,
    )
    assert pool.tags == {"a": "b"}
    assert pool.snapshot_id == "s-1"
    assert pool.runtime_version == "1.6.20"


def test_a_pool_that_says_nothing_has_an_unknown_state() -> None:
    pool = NodePoolView.from_api({"nodepool_info": {"nodepool_id": "np-1", "name": "canary"}})
    assert (pool.state, pool.snapshot_id, pool.tags) == ("unknown", None, {})


def test_a_blank_last_disk_has_no_snapshot() -> None:
    assert pool_view(data_disks=[{"size": 40, "snapshot_id": ""}]).snapshot_id is None


def test_a_change_replaces_the_last_disk_and_keeps_the_others() -> None:
    pool = pool_view(data_disks=[{"size": 40, "kms_key_id": None}, {"size": 60}])
    changed = pool.disks_with({"size": 60, "snapshot_id": "s-2"})
    assert changed == [{"size": 40}, {"size": 60, "snapshot_id": "s-2"}]


def node(**values: Any) -> Node:
    return Node.from_api({"instance_id": "i-1", **values})


def test_a_node_keeps_the_offset_of_its_creation() -> None:
    joined = node(
        node_name="cn-hangzhou.10.0.0.7",
        ip_address=["10.0.0.7"],
        creation_time="2020-08-25T11:25:35+08:00",
        node_status="Ready",
    )
    assert joined.created is not None
    assert joined.created.utcoffset() == timedelta(hours=8)
    assert joined.is_ready
    assert joined.as_dict() == {
        "instance_id": "i-1",
        "node_name": "cn-hangzhou.10.0.0.7",
        "private_ip": "10.0.0.7",
        "creation_time": "2020-08-25T11:25:35+08:00",
    }


def test_a_node_that_has_only_an_instance_is_named_by_it() -> None:
    young = node(error_message="no stock")
    assert (young.name, young.private_ip, young.is_ready) == ("i-1", None, False)
    assert young.error == "no stock"
    assert young.as_dict()["creation_time"] is None


def test_a_node_that_has_nothing_is_still_named() -> None:
    assert Node.from_api({}).name == "unnamed node"


def test_a_creation_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no offset from UTC"):
        node(creation_time="2020-08-25T11:25:35")
