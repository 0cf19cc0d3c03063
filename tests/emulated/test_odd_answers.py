"""Answers that say nothing of what was asked for are never read as "there is none"."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import Any

import pytest

from ack_preload.domain.errors import CloudError, NotFoundError, ThrottledError, UnclearReplyError
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.assistant import AssistantHook
from ack_preload.hooks.calls import send
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.looks import Looks
from ack_preload.hooks.pace import pace_of
from ack_preload.hooks.ssh_calls import ScriptCall
from ack_preload.hooks.whole import DEMANDED
from ack_preload.operators.inventory import Inventory
from ack_preload.operators.node_pool_end import DeleteNodePoolOperator, RestoreNodePoolOperator
from tests.emulated.driving import context
from tests.emulated.odd_cloud import odd_cloud

NO_KEY = "InvalidAccessKeyId.NotFound"
NO_CALL = "InvalidAction.NotFound"
NOT_THE_CLUSTER = pytest.mark.parametrize("code", [NO_KEY, NO_CALL])


def refusal(code: str) -> dict[str, Any]:
    return {"Code": code, "Message": "no", "RequestId": "ODD-1"}


def looked(account: Account, method: str, *arguments: Any) -> Any:
    async def look() -> Any:
        return await getattr(Looks(account), method)(*arguments)

    return asyncio.run(look())


def teardown(kind: type[Any], account: Account) -> Any:
    """Return a teardown that works on ``account``."""
    operator = kind(task_id="end", cluster_id="c1", makers=["apply"])
    vars(operator).update(account=account, installation="x")
    return operator


@NOT_THE_CLUSTER
@pytest.mark.parametrize("kind", [DeleteNodePoolOperator, RestoreNodePoolOperator])
def test_a_teardown_is_red_when_the_key_is_refused(kind: type[Any], code: str) -> None:
    with odd_cloud(refusal(code), 404) as account, pytest.raises(CloudError, match=code):
        teardown(kind, account).execute(context())


@NOT_THE_CLUSTER
def test_a_sweep_knows_no_pools_when_the_key_is_refused(code: str) -> None:
    with odd_cloud(refusal(code), 404) as account:
        inventory = Inventory(None, AckHook("odd", account=account), [])  # type: ignore[arg-type]
        inventory._read_pools_of("c1", may_be_gone=True)
    assert not inventory.pools_known
    assert code in inventory.problems[0]


@NOT_THE_CLUSTER
@pytest.mark.parametrize("method", ["agents", "tasks"])
def test_a_look_does_not_miss_what_it_was_not_told_of(method: str, code: str) -> None:
    with odd_cloud(refusal(code), 404) as account, pytest.raises(CloudError, match=code):
        looked(account, method, ["T-1"])


def test_only_a_cluster_that_is_gone_has_no_pools() -> None:
    with odd_cloud(refusal("ErrorClusterNotFound"), 404) as account:
        assert AckHook("odd", account=account).node_pools_of_run("c1", "run", "x") == []
        with pytest.raises(NotFoundError):
            AckHook("odd", account=account).node_pools("c1")


ASKED_AGAIN = "Forbidden.RAM"


@pytest.mark.parametrize("kind", [DeleteNodePoolOperator, RestoreNodePoolOperator])
def test_a_teardown_asks_again_after_an_answer_without_pools(kind: type[Any]) -> None:
    with (
        odd_cloud({}, then=ASKED_AGAIN) as account,
        pytest.raises(CloudError, match=ASKED_AGAIN),
    ):
        teardown(kind, account).execute(context())


READS: dict[str, tuple[type[Any], str, tuple[str, ...]]] = {
    "DescribeClusterNodePoolDetail": (AckHook, "node_pool", ("c1", "np1")),
    "DescribeClusterNodePools": (AckHook, "node_pools", ("c1",)),
    "DescribeClusterNodes": (AckHook, "nodes", ("c1", "np1")),
    "DescribeClusterUserKubeconfig": (AckHook, "kubeconfig", ("c1",)),
    "DescribeClustersV1": (AckHook, "clusters", ()),
    "DescribeDisks": (EcsHook, "disks", ()),
    "DescribeInstances": (EcsHook, "instances", ()),
    "DescribeKeyPairs": (EcsHook, "key_pairs", ()),
    "DescribeSnapshots": (EcsHook, "snapshots", ()),
    "ListClusterAddonInstances": (AckHook, "addons", ("c1",)),
}


@pytest.mark.parametrize("action", DEMANDED)
@pytest.mark.parametrize("is_half", [False, True])
def test_a_task_asks_again_after_an_answer_without_what_it_asked_for(
    action: str, is_half: bool
) -> None:
    kind, method, arguments = READS[action]
    halves = [path[0] for path in DEMANDED[action] if len(path) > 1]
    body: dict[str, Any] = {half: {} for half in halves if is_half}
    with odd_cloud(body, then=ASKED_AGAIN) as account, pytest.raises(CloudError, match=ASKED_AGAIN):
        getattr(kind("odd", account=account), method)(*arguments)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("node_pools", ("c1", ["np1"])),
        ("node_pools_named", ("c1", ["preloaded"])),
        ("nodes", ("c1", ["np1"])),
        ("kubeconfig", ("c1",)),
        ("instances", (["i-1"],)),
        ("snapshots", (["s-1"],)),
        ("agents", (["i-1"],)),
        ("tasks", (["T-1"],)),
    ],
)
@pytest.mark.parametrize("body", [{}, {"Instances": {}, "Snapshots": {}}])
def test_a_look_that_tells_nothing_is_unclear(
    method: str, arguments: tuple[Any, ...], body: dict[str, Any]
) -> None:
    with odd_cloud(body) as account, pytest.raises(UnclearReplyError):
        looked(account, method, *arguments)


def test_a_list_of_clusters_that_ends_too_early_is_not_all() -> None:
    body = {"clusters": [], "page_info": {"total_count": 3}}
    with odd_cloud(body) as account, pytest.raises(UnclearReplyError, match="0 clusters of 3"):
        AckHook("odd", account=account).clusters()


def test_an_empty_list_is_a_list() -> None:
    with odd_cloud({"nodepools": None}) as account:
        assert AckHook("odd", account=account).node_pools("c1") == []
    with odd_cloud({"nodes": []}) as account:
        assert looked(account, "nodes", "c1", ["np1"]) == {"np1": []}


BROKEN_KUBECONFIG = b'{"config": "client-key-data: MARKER-SECRET-KEY", "expir'


def test_a_kubeconfig_that_is_cut_off_is_not_told() -> None:
    """Neither by a trigger, whose words go into the database, nor in the log of a task."""
    with odd_cloud(BROKEN_KUBECONFIG) as account, pytest.raises(UnclearReplyError) as caught:
        looked(account, "kubeconfig", "c1")
    assert "Failed to parse the value as json" in str(caught.value)
    assert "MARKER" not in "".join(traceback.format_exception(caught.value))
    with odd_cloud(BROKEN_KUBECONFIG) as account:
        hook = AckHook("odd", account=account)
        ask = hook._ask("cluster_user_kubeconfig", "c1", hook._kubeconfig(True, 60))
        with pytest.raises(UnclearReplyError) as caught:
            send("DescribeClusterUserKubeconfig", ask, budget_s=0)
    assert "MARKER" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("method", ["instances", "snapshots"])
def test_what_a_first_page_does_not_list_is_not_missing(method: str) -> None:
    body = {"Instances": {"Instance": []}, "Snapshots": {"Snapshot": []}, "NextToken": "page-2"}
    with odd_cloud(body) as account, pytest.raises(UnclearReplyError, match="0 of 1 ids"):
        looked(account, method, ["x-1"])
    with odd_cloud({**body, "NextToken": ""}) as account:
        assert looked(account, method, ["x-1"]) == {}


@pytest.mark.parametrize("is_script", [False, True])
def test_an_account_that_is_throttled_rests_whoever_was_told(is_script: bool) -> None:
    async def refused(account: Account) -> bool:
        pace = pace_of(account)
        if is_script:
            hook = AssistantHook("odd", account=account)
            asking: Any = hook.arun_script("i-1", ScriptCall("job.sh", ("state", "job")), 1)
        else:
            asking = Looks(account).instances(["i-1"])
        with pytest.raises(ThrottledError):
            await asking
        return pace._rests_until > time.monotonic()

    with odd_cloud(refusal("Throttling.User"), 429) as account:
        assert asyncio.run(refused(account))
