"""What the DAGs of this project have in common: defaults, params and assets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param

from ack_preload.operators.retry_policy import RETRY_POLICY, TEARDOWN_POLICY

OWNER = "node-platform"
TAG = "ack-preload"

IMAGE_LOCK = Asset("ack-preload://image-lock")
SNAPSHOT = Asset("ack-preload://snapshot")
ROLLOUT = Asset("ack-preload://rollout")
COMPARISON = Asset("ack-preload://comparison")

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=10),  # the cloud's own errors have longer ones, below
    "retry_policy": RETRY_POLICY,
}
# A clean-up that gives up leaves something that costs money until the sweep comes by.
TEARDOWN_RETRIES = 5
TEARDOWN: dict[str, Any] = {"retries": TEARDOWN_RETRIES, "retry_policy": TEARDOWN_POLICY}
"""For every teardown: ``Operator(..., **TEARDOWN)``."""


def target_param(*, empty_means: str = "the only target of the file") -> Param:
    return Param(
        "",
        type="string",
        title="Target",
        description=f"Name of a target. Empty: {empty_means}.",
    )


def chain_param() -> Param:
    return Param(
        "",
        type="string",
        title="Chain",
        description="Run id of the nightly_preload run that this is a part of; it fills this in.",
    )
