"""Every emulated action by both official clients, blocking and asynchronous: they read the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from alibabacloud_cs20151215 import models as cs

from emulator import ack, ecs
from emulator.api_model import snake
from emulator.app import Handle
from tests.emulator.sdk import cs_client, ecs_client
from tests.emulator.sdk_state import State, Step
from tests.emulator.sdk_steps import (
    ECS_STEPS,
    cluster,
    description,
    pool_of,
    task,
)

pytestmark = pytest.mark.slow

ACK_STEPS = (
    Step(
        "DescribeClustersV1",
        lambda _: (cs.DescribeClustersV1Request(page_number=1, page_size=1, name="dem"),),
        lambda state, body: (
            [each.cluster_id for each in body.clusters] == [cluster(state)]
            and body.page_info.total_count == 1
        ),
    ),
    Step(
        "DescribeClusterDetail",
        lambda state: (cluster(state),),
        lambda state, body: body.cluster_id == cluster(state) and body.state == "running",
    ),
    Step(
        "ListClusterAddonInstances",
        lambda state: (cluster(state),),
        lambda _, body: "kube-proxy" in {addon.name for addon in body.addons},
    ),
    Step(
        "DescribeClusterUserKubeconfig",
        lambda state: (
            cluster(state),
            cs.DescribeClusterUserKubeconfigRequest(
                private_ip_address=False, temporary_duration_minutes=15
            ),
        ),
        lambda state, body: state.fact("kube_url") in body.config and body.expiration[-1] == "Z",
    ),
    Step(
        "CreateClusterNodePool",
        lambda state: (cluster(state), description(state)),
        lambda state, body: task(state, body) and state.keep(pool=body.nodepool_id),
        State.task_is_over,
    ),
    Step(
        "DescribeTaskInfo",
        lambda state: (state.known.task,),
        lambda _, body: body.state == "success",
    ),
    Step(
        "DescribeClusterNodePoolDetail",
        pool_of,
        lambda _, body: body.scaling_group.data_disks[0].size == 40,
    ),
    Step(
        "DescribeClusterNodePools",
        lambda state: (
            cluster(state),
            cs.DescribeClusterNodePoolsRequest(nodepool_name="step"),
        ),
        lambda state, body: body.nodepools[0].nodepool_info.nodepool_id == state.known.pool,
    ),
    Step(
        "ScaleClusterNodePool",
        lambda state: (*pool_of(state), cs.ScaleClusterNodePoolRequest(count=1)),
        task,
        State.task_is_over,
    ),
    Step(
        "DescribeClusterNodes",
        lambda state: (
            cluster(state),
            cs.DescribeClusterNodesRequest(
                nodepool_id=state.known.pool, page_size="1", page_number="2", state="all"
            ),
        ),
        lambda state, body: (
            state.keep(node=body.nodes[0].instance_id)
            and body.nodes[0].node_status == "Ready"
            and body.page.total_count == 2
        ),
    ),
    Step(
        "RemoveNodePoolNodes",
        lambda state: (
            *pool_of(state),
            cs.RemoveNodePoolNodesRequest(
                instance_ids=[state.known.node], release_node=True, drain_node=False
            ),
        ),
        task,
        State.task_is_over,
    ),
    Step(
        "ModifyClusterNodePool",
        lambda state: (
            *pool_of(state),
            cs.ModifyClusterNodePoolRequest(
                nodepool_info=cs.ModifyClusterNodePoolRequestNodepoolInfo(name="step-2")
            ),
        ),
        task,
        State.task_is_over,
    ),
    Step(
        "DeleteClusterNodepool",
        lambda state: (*pool_of(state), cs.DeleteClusterNodepoolRequest(force=True)),
        task,
        lambda state: state.known.pool not in state.handle.cloud.node_pools,
    ),
)

Call = Callable[[Any, str, tuple[Any, ...]], Awaitable[Any]]


async def blocking(client: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(client, method)(*arguments)


async def asynchronous(client: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    return await getattr(client, f"{method}_async")(*arguments)


@pytest.mark.parametrize("call", [blocking, asynchronous], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("client_of", "steps"), [(ecs_client, ECS_STEPS), (cs_client, ACK_STEPS)], ids=["ECS", "ACK"]
)
async def test_every_action_is_read_by_the_official_client(
    cloud_handle: Handle, call: Call, client_of: Callable[..., Any], steps: tuple[Step, ...]
) -> None:
    client, state = client_of(cloud_handle.facts), State(cloud_handle)
    for step in steps:
        answer = await call(client, snake(step.action), step.arguments(state))
        assert answer.status_code == 200
        assert answer.headers["x-acs-request-id"]
        assert step.holds(state, answer.body), f"{step.action}: {answer.body}"
        if step.then is not None:
            cloud_handle.run_until(partial(step.then, state))


def test_the_steps_are_all_actions() -> None:
    assert sorted(step.action for step in ECS_STEPS) == sorted(ecs.ACTIONS)
    assert sorted(step.action for step in ACK_STEPS) == sorted(ack.ACTIONS)
