"""How a run ended, and in what that differs from what its case says must come of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from local.chaos.cases import Case, Result

FAILED = "failed"  # as Airflow has it; what is behind one is ``upstream_failed``
UNCOUNTED = frozenset({"disk_full", "assistant_absent"})  # conditions, which count no strikes


@dataclass(slots=True)
class TaskRun:
    """One task instance as it ended."""

    task_id: str
    map_index: int
    state: str
    tries: int


@dataclass(slots=True)
class Outcome:
    """A run as it ended: its errors in the order in which they were raised."""

    dag_id: str
    run_id: str
    state: str = ""
    tasks: list[TaskRun] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def tries(self, task_id: str) -> int:
        return max((task.tries for task in self.tasks if task.task_id == task_id), default=0)

    def red(self) -> list[str]:
        return sorted({t.task_id for t in self.tasks if t.state == FAILED})

    def last_error(self, task_id: str) -> str:
        return next((text for task, text in reversed(self.errors) if task == task_id), "")


def unexpected(case: Case, outcome: Outcome, result: Result) -> list[str]:
    """Return in what the run differs from what the case says must come of it."""
    found = []
    if result.outcome != case.outcome:
        found.append(f"is {result.outcome}, expected {case.outcome}: {outcome.errors[-3:]}")
    elif case.outcome == "red":
        task_id = case.fails or case.stage
        if task_id not in outcome.red():
            found.append(f"{outcome.red()} failed, and not {task_id}: {outcome.errors[-3:]}")
        elif not re.search(case.error, text := outcome.last_error(task_id), re.DOTALL):
            found.append(f"{task_id} is red, but not by /{case.error}/: {text}")
    counted = [fault for fault in case.faults if fault["kind"] not in UNCOUNTED]
    if counted and not result.struck:
        found.append("the fault never struck: this proves nothing")
    return found


def left_open(case: Case, result: Result) -> list[str]:
    """Return what the run's own teardowns had to take and did not: the sweep would hide it."""
    left = [line for line in result.left_before_sweep if line.split()[0] not in case.leaves]
    return [f"left to the sweep: {', '.join(left)}"] if left else []


def shown_error(case: Case, outcome: Outcome) -> str:
    """Return the error that the run was to end by, or else the first that there was."""
    task_id = case.fails or case.stage
    if text := outcome.last_error(task_id) if task_id in outcome.red() else "":
        return f"{task_id}: {text}"
    return next((f"{task}: {text}" for task, text in outcome.errors), "")
