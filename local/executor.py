"""Airflow's LocalExecutor, with the events of a deferred task kept apart from those of its resume.

A task that defers ends its process with success. When its trigger fires before the scheduler has
read that, the same task instance runs again, and Airflow 3.3.2 takes the old success for a task
that was killed from outside: it fails the try. A busy machine and a wait that is over at once
are enough. https://github.com/apache/airflow/issues/72716 (open); retries hide it elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

_ENDED = (TaskInstanceState.SUCCESS, TaskInstanceState.FAILED)


class ResumingLocalExecutor(LocalExecutor):
    """Reports the end of a task only when no later start of the same try is under way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._under_way: Counter[Any] = Counter()

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        self._under_way.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]

    def change_state(
        self, key: Any, state: Any, info: Any = None, remove_running: bool = True
    ) -> None:
        if state in _ENDED and key in self._under_way:
            self._under_way[key] -= 1
            if self._under_way[key] > 0:
                self.log.info("Passing over %s of %s: it was resumed since", state, key)
                return
            del self._under_way[key]
        super().change_state(key, state, info, remove_running)
