"""The last task of every DAG: it makes a run red when anything in it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

RED = frozenset({"failed", "upstream_failed", "removed"})


class WatchRunOperator(BaseOperator):
    """Fail when any task of the run failed. Put it after everything, and make it a teardown.

    Airflow judges a run by its last tasks. A run that a person marks failed skips what is left,
    and would end *green* for lack of a failed last task; so would one whose failure is followed
    by skips. A teardown runs in both cases, so this one is a teardown without a setup.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_teardown(on_failure_fail_dagrun=True)

    def execute(self, context: Context) -> int:
        ti = context["ti"]
        found = ti.get_task_states(ti.dag_id, run_ids=[ti.run_id])
        states: dict[str, str | None] = found.get(ti.run_id) or {}
        failed = sorted(name for name, state in states.items() if state in RED)
        if failed:
            # Not to be retried: the states that it looks at are final.
            raise AirflowFailException(
                f"{ti.run_id} has failed tasks: {', '.join(failed)}; clear the first of them"
            )
        return len(states)
