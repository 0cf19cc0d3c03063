"""What Airflow does with every error of the tree, and after how long."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction

from ack_preload.domain import errors
from ack_preload.domain.errors import CloudError, PreloadError
from ack_preload.operators.retry_policy import (
    JITTER,
    LONGEST_ASKED,
    LONGEST_DELAY,
    RETRY_POLICY,
    TEARDOWN_POLICY,
    TreePolicy,
)

RETRY, FAIL, AS_THE_TASK_SAYS = RetryAction.RETRY, RetryAction.FAIL, RetryAction.DEFAULT
TREE = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, PreloadError)
}
# error: what a task does, what a teardown does
EXPECTED = {
    "PreloadError": (AS_THE_TASK_SAYS, AS_THE_TASK_SAYS),
    "CloudError": (FAIL, RETRY),
    "ThrottledError": (RETRY, RETRY),
    "CloudUnavailableError": (RETRY, RETRY),
    "NotFoundError": (FAIL, RETRY),
    "UnclearReplyError": (RETRY, RETRY),
    "NodeUnreachableError": (RETRY, RETRY),
    "ForeignResourceError": (FAIL, FAIL),
    "InvalidInputError": (FAIL, FAIL),
    "ResourceFailedError": (FAIL, AS_THE_TASK_SAYS),
    "WaitTimeoutError": (AS_THE_TASK_SAYS, AS_THE_TASK_SAYS),
    "RemoteJobError": (AS_THE_TASK_SAYS, AS_THE_TASK_SAYS),
    "ImageProofError": (FAIL, AS_THE_TASK_SAYS),
}


def raised(kind: type[PreloadError], **more: Any) -> PreloadError:
    if issubclass(kind, CloudError):
        return kind("X", "", request_id="1", **more)
    return kind("")


def test_every_error_of_the_tree_has_its_rule() -> None:
    assert TREE.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_airflow_retries_what_may_succeed(name: str) -> None:
    error = raised(TREE[name])
    task, teardown = EXPECTED[name]
    assert RETRY_POLICY.evaluate(error, 1, 3).action is task
    assert TEARDOWN_POLICY.evaluate(error, 1, 6).action is teardown


def test_what_is_not_ours_is_retried_as_the_task_says() -> None:
    assert RETRY_POLICY.evaluate(ValueError(), 1, 3).action is AS_THE_TASK_SAYS


def delay(policy: TreePolicy, error: BaseException, try_number: int, **more: Any) -> timedelta:
    found = policy.evaluate(error, try_number, **{"max_tries": 9, **more}).retry_delay
    assert found is not None
    return found


@pytest.mark.parametrize(("try_number", "minutes"), [(1, 1), (2, 2), (3, 4), (5, 15), (40, 15)])
def test_the_delay_doubles_up_to_a_quarter_of_an_hour(try_number: int, minutes: int) -> None:
    unavailable = raised(errors.CloudUnavailableError)
    least = min(timedelta(minutes=minutes), LONGEST_DELAY)
    assert least <= delay(TEARDOWN_POLICY, unavailable, try_number) <= least * (1 + JITTER)


def test_after_a_clear_the_delay_begins_anew() -> None:
    task = SimpleNamespace(retries=2)
    context: Any = {"ti": SimpleNamespace(task=task)}
    unavailable = raised(errors.CloudUnavailableError)
    # Three tries, then cleared: the fourth is the first of the new ones.
    found = delay(RETRY_POLICY, unavailable, 4, max_tries=5, context=context)
    assert found <= timedelta(minutes=1) * (1 + JITTER)


def test_the_next_try_begins_no_sooner_than_the_cloud_asked_for() -> None:
    slower = raised(errors.ThrottledError, retry_after_s=1800)
    assert delay(RETRY_POLICY, slower, 1) >= timedelta(minutes=30)


def test_days_that_the_cloud_asks_for_are_not_kept_to() -> None:
    longer = raised(errors.ThrottledError, retry_after_s=1e12)
    assert delay(TEARDOWN_POLICY, longer, 1) <= LONGEST_ASKED * (1 + JITTER)


def test_mapped_tasks_do_not_come_back_in_step() -> None:
    error = raised(errors.ThrottledError)
    assert len({delay(RETRY_POLICY, error, 1) for _ in range(20)}) > 1


def test_the_policy_survives_its_own_serialised_form() -> None:
    again = TreePolicy.deserialize(json.loads(json.dumps(RETRY_POLICY.serialize())))
    assert isinstance(again, TreePolicy)
    assert delay(again, raised(errors.ThrottledError), 1) >= timedelta(minutes=2)
