"""Run another DAG as a part of this one, exactly once whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowRuntimeError, DagRunTriggerException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
from airflow.utils.state import DagRunState

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.domain.tags import token
from ack_preload.triggers.child_run import ChildRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

POLL_S = 2  # a look at Airflow's own database, not at the cloud
UNFINISHED = frozenset({DagRunState.QUEUED, DagRunState.RUNNING})


class RunChildDagOperator(TriggerDagRunOperator):
    """Start ``dag_id`` for one target, or adopt the run that an earlier try started; then wait.

    The run id is made of this run's own, so that a retry, a clear or a lost worker meets the
    same child: a running one is waited for, a good one is taken as it is, a failed one is
    cleared and runs again. ``TriggerDagRunOperator`` alone would either fail on a child that
    exists (the default) or restart one that still runs (``reset_dag_run``).

    :param child: the DAG to run.
    :param target: name of a target; it becomes the child's param of that name.
    """

    template_fields = ("child", "target")

    def __init__(self, *, child: str, target: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=child,
            # Not "now": two targets in the same microsecond would be one logical date.
            logical_date=None,
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL_S,
            fail_when_dag_is_paused=True,  # its run would wait for ever
            **kwargs,
        )
        self.child = child
        self.target = target

    def execute(self, context: Context) -> None:
        ti = context["ti"]
        self.trigger_dag_id = self.child
        self.trigger_run_id = child_run_id(ti.run_id, self.target)
        self.conf = {"target": self.target, "chain": ti.run_id}
        state = self._state_of_child(ti)
        self.log.info("%s of %s is %s", self.trigger_run_id, self.child, state or "new")
        if state is DagRunState.SUCCESS:
            return
        if state in UNFINISHED:
            self._await_child()
        self.reset_dag_run = state is not None  # a failed one starts again
        try:
            super().execute(context)
        except DagRunTriggerException as asked:
            self._start(asked, ti)
        self._await_child()

    def _start(self, asked: DagRunTriggerException, ti: Any) -> None:
        """Send what Airflow's task runner would send, and take a child that is there for ours.

        The runner fails a task for good whose child exists, without asking its retry policy. A
        child of this id exists when it was made and the reply was lost: Airflow's own client then
        sends the call again.
        """
        answer = task_runner.SUPERVISOR_COMMS.send(
            TriggerDagRun(
                dag_id=asked.trigger_dag_id,
                run_id=asked.dag_run_id,
                logical_date=asked.logical_date,
                conf=asked.conf,
                reset_dag_run=asked.reset_dag_run,
            )
        )
        if isinstance(answer, ErrorResponse):
            if answer.error is not ErrorType.DAGRUN_ALREADY_EXISTS:
                raise AirflowRuntimeError(answer)
            self.log.info("%s of %s was started already", asked.dag_run_id, self.child)
        ti.xcom_push(key="trigger_run_id", value=asked.dag_run_id)  # for the link to it

    def execute_complete(self, context: Context, event: tuple[str, dict[str, Any]]) -> None:
        """Fail when the child failed, or is gone; it was retried on its own, so this is not."""
        _, states = event
        for run_id in states["run_ids"]:
            if run_id in states and states[run_id] is None:
                raise ResourceFailedError(
                    f"run {run_id} of {self.child} was deleted while this task waited for it; "
                    "clear this task: it starts the child anew"
                )
            if states.get(run_id) != DagRunState.SUCCESS:
                raise ResourceFailedError(
                    f"run {run_id} of {self.child} is {states.get(run_id)}; see its log, mend the "
                    "cause, then clear this task: it runs the child again"
                )

    def _state_of_child(self, ti: Any) -> DagRunState | None:
        if not ti.get_dr_count(self.trigger_dag_id, run_ids=[self.trigger_run_id]):
            return None
        return DagRunState(ti.get_dagrun_state(self.trigger_dag_id, self.trigger_run_id))

    def _await_child(self) -> NoReturn:
        self.defer(
            trigger=ChildRunTrigger(
                dag_id=self.trigger_dag_id,
                states=[*self.allowed_states, *self.failed_states],
                run_ids=[str(self.trigger_run_id)],
                poll_interval=POLL_S,
            ),
            method_name="execute_complete",
        )


def child_run_id(run_id: str, target: str) -> str:
    """Return the run id of every child of one target in one nightly run."""
    return f"nightly_{target}_{token(run_id, target)[:12]}"
