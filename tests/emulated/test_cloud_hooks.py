"""What the hooks read: all pages, and absence as ``None``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import yaml

from ack_preload.domain.errors import NotFoundError
from ack_preload.domain.tags import PRODUCT, PRODUCT_KEY
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.looks import Looks
from ack_preload.triggers.probes import open_watch
from emulator.app import Handle
from tests.emulated.driving import connection

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBiUqB6L8l3YzB4Ck4eX9mV3Q1mSxZb4z3k0Y5F5Yl3t"


class EcsPages(EcsHook):
    page_size = 2


class AckPages(AckHook):
    page_size = 2


class LooksPages(Looks):
    page_size = 2


def seen(wait: str, **subject: Any) -> Any:
    """Return one look of a wait's probe."""

    async def look() -> Any:
        async with open_watch(wait, "alibabacloud_default") as watch:
            return await watch(subject, 0.0)

    return asyncio.run(look())


def live(cloud: Handle) -> tuple[str, str]:
    """Return the cluster and the pool with the live node."""
    return cloud.facts["cluster_id"], cloud.facts["node_pool_id"]


def test_the_cluster_is_read(cloud: Handle) -> None:
    assert AckHook().cluster(cloud.facts["cluster_id"])["current_version"] == "1.32.1-aliyun.1"


def test_the_addons_have_versions(cloud: Handle) -> None:
    addons = AckHook().addons(cloud.facts["cluster_id"])
    assert addons
    assert all(addons.values())


def test_an_unknown_cluster_is_an_error(cloud: Handle) -> None:
    with pytest.raises(NotFoundError) as caught:
        AckHook().node_pools("c-none")
    assert caught.value.code == "ErrorClusterNotFound"
    with pytest.raises(NotFoundError):
        AckHook().node_pool("c-none", "np-none")


def test_an_unknown_cluster_ends_a_wait(cloud: Handle) -> None:
    with pytest.raises(NotFoundError):
        seen("node_pool_gone", cluster_id="c-none", node_pool_id="np-none")


def test_an_unknown_pool_is_none_and_absent(cloud: Handle) -> None:
    cluster_id, _ = live(cloud)
    assert AckHook().node_pool(cluster_id, "np-none") is None
    assert seen("node_pool_gone", cluster_id=cluster_id, node_pool_id="np-none").state == "absent"


def test_a_kubeconfig_is_given_to_tasks_and_triggers(cloud: Handle) -> None:
    cluster_id, _ = live(cloud)
    hook = AckHook()
    assert yaml.safe_load(hook.kubeconfig(cluster_id, private=False))["kind"] == "Config"

    async def text() -> str:
        return await (await AckHook.aopen()).kubeconfig_async(cluster_id, private=False)

    assert yaml.safe_load(asyncio.run(text()))["kind"] == "Config"


def test_all_pages_of_nodes_are_read(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    AckHook().set_desired_size(cluster_id, pool_id, 3)
    cloud.run_until(lambda: len(AckHook().nodes(cluster_id, pool_id)) == 3)
    assert len(AckPages().nodes(cluster_id, pool_id)) == 3

    async def looked() -> int:
        looks = LooksPages(await Account.aget())
        (found,) = (await looks.nodes(cluster_id, [pool_id])).values()
        listed = await looks.nodes(cluster_id, [pool_id, "np-none"])
        assert listed == {pool_id: found, "np-none": []}
        # Two pages are as much as two pools; for one pool more than the listing is better.
        assert [looks.pools_at_once(cluster_id, wanted) for wanted in (1, 2, 3)] == [1, 2, 3]
        assert looks.pools_at_once("of another size", 1) == 1
        return len(found)

    assert asyncio.run(looked()) == 3


def test_fewer_nodes_than_asked_for_are_joining(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    found = seen("nodes_ready", cluster_id=cluster_id, node_pool_id=pool_id, count=2)
    assert (found.state, found.detail["ready"]) == ("joining", 1)


def test_nodes_that_have_not_begun_are_joining(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    AckHook().set_desired_size(cluster_id, pool_id, 0)
    cloud.run_until(lambda: not AckHook().nodes(cluster_id, pool_id))
    assert seen("nodes_ready", cluster_id=cluster_id, node_pool_id=pool_id, count=1).state == (
        "joining"
    )


def test_nodes_can_be_removed_by_name(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    (node,) = AckHook().nodes(cluster_id, pool_id)
    task_id = AckHook().remove_nodes(cluster_id, pool_id, [node.instance_id])
    cloud.run_until(lambda: seen("ack_task_succeeded", task_id=task_id).state == "success")
    assert AckHook().nodes(cluster_id, pool_id) == []


def test_a_task_that_failed_says_why(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    task_id = AckHook().set_desired_size(cluster_id, pool_id, 2)
    task = cloud.cloud.tasks[task_id]
    cloud.run_until(lambda: seen("ack_task_succeeded", task_id=task_id).state != "running")
    task.state = type(task.state)("fail")
    task.error = "no stock"
    found = seen("ack_task_succeeded", task_id=task_id)
    assert found.state == "fail"
    assert "no stock" in found.detail["error"]


def test_all_pages_of_instances_and_disks_are_read(cloud: Handle) -> None:
    cluster_id, pool_id = live(cloud)
    AckHook().set_desired_size(cluster_id, pool_id, 3)
    cloud.run_until(lambda: len(EcsHook().instances()) == 3)
    assert len(EcsPages().instances()) == 3
    assert len(EcsPages().disks()) == len(cloud.cloud.disks)


def test_all_pages_of_snapshots_are_read(cloud: Handle) -> None:
    hook = EcsHook()
    disk_id = hook.data_disks(hook.instances()[0].instance_id)[0].disk_id
    for number in range(3):
        hook.create_snapshot(disk_id, name=f"n{number}", token=f"t{number}", tags={})
        cloud.run_until(lambda: all(s.status == "accomplished" for s in hook.snapshots()))
    assert len(EcsPages().snapshots()) == 3


def test_all_pages_of_key_pairs_are_read(cloud: Handle) -> None:
    hook = EcsHook()
    tags = {PRODUCT_KEY: PRODUCT}
    for name in ("k1", "k2", "k3"):
        hook.import_key_pair(name, PUBLIC_KEY, tags)
    assert EcsPages().key_pairs(tags).keys() == {"k1", "k2", "k3"}
    assert hook.key_pair("none") is None


def test_an_absent_instance_is_seen_as_such(cloud: Handle) -> None:
    assert seen("instance_gone", instance_id="i-none").state == "absent"


def test_a_disk_that_is_gone_is_deleted(cloud: Handle) -> None:
    EcsHook().delete_disk("d-none")


def test_the_form_can_test_the_connection(cloud: Handle) -> None:
    assert EcsHook().test_connection() == (True, "ECS answers in cn-hangzhou (0 instances)")


def test_the_form_shows_why_a_connection_does_not_work(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = cloud.facts | {"access_key_secret": "wrong-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", connection(facts))
    works, why = EcsHook().test_connection()
    assert not works
    assert "SignatureDoesNotMatch" in why
