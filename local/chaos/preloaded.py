"""The local run's executor with the cloud's SDK loaded before its workers are forked.

A thousand short tasks would else load it a thousand times, which takes longer than all they do.
"""

from __future__ import annotations

import alibabacloud_ecs20140526.client
import alibabacloud_ecs20140526.models  # noqa: F401  # to have it in every fork
from airflow.sdk.execution_time import task_runner  # noqa: F401  # as above

import ack_preload.hooks.ecs
import ack_preload.operators.retry_policy  # noqa: F401  # as above
from local.executor import ResumingLocalExecutor


class PreloadedExecutor(ResumingLocalExecutor):
    """As it is; this module's imports are the difference."""
