"""What Airflow does with each error of ours: try the task again, and when, or fail at once."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.retry_policy import RetryDecision

if TYPE_CHECKING:
    from airflow.sdk import Context

ERRORS = "ack_preload.domain.errors"
JITTER = 0.2
"""Up to this share is added to each delay, so that mapped tasks do not come back in step."""
LONGEST_DELAY = timedelta(minutes=15)
LONGEST_ASKED = timedelta(hours=1)
"""A longer ``Retry-After`` is taken for a mistake: days would pass with what costs money unseen."""


class TreePolicy(ExceptionRetryPolicy):
    """Rules by class of error; the first that matches wins, so a class stands before its base.

    The delay of a rule doubles from try to try. It is never shorter than the pause that the cloud
    asked for (``retry_after_s`` of the error), up to an hour.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is not RetryAction.RETRY or decision.retry_delay is None:
            return decision
        since_clear = _tries_since_clear(try_number, max_tries, context)
        grown = min(decision.retry_delay * 2 ** min(since_clear - 1, 10), LONGEST_DELAY)
        asked_s = getattr(exception, "retry_after_s", None) or 0
        asked = timedelta(seconds=min(asked_s, LONGEST_ASKED.total_seconds()))
        spread = random.uniform(1, 1 + JITTER)  # noqa: S311  # spreads load, hides nothing
        return RetryDecision.retry(max(grown, asked) * spread, decision.reason)


def _tries_since_clear(try_number: int, max_tries: int, context: Context | None) -> int:
    """Count this try from 1: Airflow goes on counting after a clear, and raises ``max_tries``."""
    retries = getattr(context["ti"].task, "retries", None) if context else None
    first = max_tries - retries + 1 if retries is not None else 1
    return max(1, try_number - max(first, 1) + 1)


WITH_PAUSES = (
    RetryRule(exception=f"{ERRORS}.ThrottledError", retry_delay=timedelta(minutes=2)),
    RetryRule(exception=f"{ERRORS}.CloudUnavailableError", retry_delay=timedelta(minutes=1)),
    RetryRule(exception=f"{ERRORS}.UnclearReplyError", retry_delay=timedelta(seconds=30)),
)


def _fail(*names: str) -> RetryRule:
    return RetryRule(
        exception=[f"{ERRORS}.{name}" for name in names],
        action=RetryAction.FAIL,
        reason="the same call would fail again",
    )


RETRY_POLICY = TreePolicy(
    rules=[
        *WITH_PAUSES,
        _fail(
            "CloudError",
            "ForeignResourceError",
            "ImageProofError",
            "InvalidInputError",
            "ResourceFailedError",
        ),
    ]
)
"""For ``default_args``. What no rule names, such as a wait at its deadline, is tried again as the
task says."""

TEARDOWN_POLICY = TreePolicy(
    rules=[
        *WITH_PAUSES,
        _fail("ForeignResourceError", "InvalidInputError"),
        RetryRule(exception=f"{ERRORS}.CloudError", retry_delay=timedelta(minutes=1)),
    ]
)
"""For teardowns. What refuses to go now may go in a minute, whatever code the cloud gave; one
that gives up at the first refusal leaves what costs money."""
