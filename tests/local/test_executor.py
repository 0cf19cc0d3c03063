"""The end of a deferred task and of its resume, in the order in which a busy machine tells them."""

from __future__ import annotations

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from local.executor import ResumingLocalExecutor

KEY = TaskInstanceKey("dag", "task", "run", 1, -1)


@pytest.fixture
def executor() -> ResumingLocalExecutor:
    return ResumingLocalExecutor(parallelism=1)


def test_the_end_of_a_deferral_is_passed_over_once_the_task_was_resumed(
    executor: ResumingLocalExecutor,
) -> None:
    executor._under_way.update([KEY])
    executor._under_way.update([KEY])  # resumed before the first end was read

    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.get_event_buffer() == {}

    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.get_event_buffer() == {KEY: (TaskInstanceState.SUCCESS, None)}


def test_the_end_of_a_task_that_was_not_resumed_is_told_at_once(
    executor: ResumingLocalExecutor,
) -> None:
    executor._under_way.update([KEY])
    executor.change_state(KEY, TaskInstanceState.FAILED)
    assert executor.get_event_buffer() == {KEY: (TaskInstanceState.FAILED, None)}


def test_a_task_that_another_scheduler_started_is_told_too(
    executor: ResumingLocalExecutor,
) -> None:
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.get_event_buffer() == {KEY: (TaskInstanceState.SUCCESS, None)}
