"""The last task of every DAG: it makes a run red when anything in it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

RED = frozenset({"failed", "upstream_failed", "removed", "skipped"})


class WatchRunOperator(BaseOperator):
    """Fail when any task of the run failed, or was skipped: no task here is meant to be.

    Put it after everything. Airflow judges a run by its last tasks, and a run that a person marks
    failed skips what is left: it would end *green* for lack of a failed last task. A teardown runs
    even then, so this is a teardown, one without a setup.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_teardown(on_failure_fail_dagrun=True)

    def execute(self, context: Context) -> int:
        ti = context["ti"]
        found = ti.get_task_states(ti.dag_id, run_ids=[ti.run_id])
        states: dict[str, str | None] = found.get(ti.run_id) or {}
        red = {name: state for name, state in states.items() if state in RED}
        if red:
            shown = ", ".join(f"{name} is {state}" for name, state in sorted(red.items()))
            # Not to be retried: the states that it looks at are final.
            raise AirflowFailException(f"{ti.run_id}: {shown}; clear the first of them")
        return len(states)
