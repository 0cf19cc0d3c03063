"""Answers that say nothing of what was asked for are never read as "there is none"."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ack_preload.domain.errors import CloudError, NotFoundError
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.looks import Looks
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
