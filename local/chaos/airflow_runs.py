"""Runs of whole DAGs in this process, by Airflow's own scheduling rules and task runner.

What is Airflow's: which task is next (``DagRun.update_state``: trigger rules, set-up and
teardown, mapped tasks, retries), the run of a task with its retry policy, the execution API, XComs,
templates, the database. What is not: tasks run one at a time and in one process, a trigger runs
where its task deferred, and pauses between tries do not pass: they are ended in the database, as a
clock that is moved would end them. Kills of processes need the whole thing: ``kills.py``.

The environment has to name Airflow's home and database before this module is imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from airflow import settings
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagrun import DagRun, get_or_create_dagrun
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance as TaskInstanceOfRunner
from airflow.sdk.execution_time.comms import DeferTask
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, run_task_in_process
from airflow.sdk.serde import deserialize, serialize
from airflow.serialization.serialized_objects import DagSerialization, create_scheduler_operator
from airflow.utils.db import initdb
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType

from local.chaos.outcome import Outcome, TaskRun
from local.layout import ROOT

BUNDLE = "dags-folder"  # what Airflow calls the folder of its configuration
LONG_AGO = timedelta(days=1)


class RunError(Exception):
    """The run could not be carried on: a fault of the harness, or of Airflow."""


class Airflow:
    """The database and the DAGs of one process."""

    def __init__(self) -> None:
        initdb()
        DagBundlesManager().sync_bundles_to_db()
        self._bag = DagBag(str(ROOT / "dags"), bundle_name=BUNDLE)
        if self._bag.import_errors:
            raise RunError(f"DAG files do not import: {self._bag.import_errors}")
        sync_bag_to_db(self._bag, BUNDLE, None)

    def run(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any],
        *,
        within_s: float,
        patience: Mapping[str, float] | None = None,
        before: Callable[[str], None] = lambda task_id: None,
        skips: Collection[str] = (),
    ) -> Outcome:
        """Run a DAG to its end.

        :param conf: with every param that any run here sets: that of one run stays in the DAG.
        :param before: called with the id of each task before each of its tries.
        :param skips: tasks that are said to be good and not run.
        :param patience: by task: the seconds after which its waits are over.
        :raises RunError: when it has no end within the time, or nothing is left to run.
        """
        dag = self._bag.dags[dag_id]
        outcome = Outcome(dag_id, run_id)
        session = new_session()
        deadline = time.monotonic() + within_s
        try:
            run = self._start(dag, run_id, conf, session)
            idle = 0  # a failure takes a pass to reach each task after it
            while run.state == DagRunState.RUNNING:
                if time.monotonic() > deadline or idle > len(dag.task_dict):
                    raise RunError(f"{dag_id} did not end within {within_s:.0f} s: {_shown(run)}")
                idle += 1
                for ti in self._next(run, session):
                    idle = 0
                    if ti.task_id in skips:
                        ti.set_state(TaskInstanceState.SUCCESS)
                        continue
                    before(ti.task_id)
                    self._perform(dag, ti, outcome, (patience or {}).get(ti.task_id))
            _note_end(outcome, run, session)
        finally:
            session.close()
        return outcome

    def _start(self, dag: Any, run_id: str, conf: Mapping[str, Any], session: Any) -> DagRun:
        now = datetime.now(UTC)
        return get_or_create_dagrun(
            dag=DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)),
            start_date=now,
            logical_date=None,
            data_interval=None,
            run_after=now,
            run_id=run_id,
            session=session,
            conf=dict(conf),
            triggered_by=DagRunTriggeredByType.TEST,
            triggering_user_name="chaos",
        )

    def _next(self, run: DagRun, session: Any) -> list[Any]:
        """Return the task instances that are to run now, as the scheduler would choose them."""
        session.expire_all()
        ready, _ = run.update_state(session=session)
        for ti in ready:
            ti.try_number += 1
            ti.state = TaskInstanceState.SCHEDULED
            ti.scheduled_dttm = datetime.now(UTC)
        session.commit()
        every = run.get_task_instances(session=session)
        for ti in every:
            if ti.state == TaskInstanceState.UP_FOR_RETRY:  # its pause is over
                ti.retry_delay_override, ti.end_date = 0.0, datetime.now(UTC) - LONG_AGO
        session.commit()
        return [ti for ti in every if ti.state == TaskInstanceState.SCHEDULED]

    def _perform(self, dag: Any, ti: Any, outcome: Outcome, patience_s: float | None) -> None:
        """Run one try of a task through all its deferrals."""
        task = dag.task_dict[ti.task_id]
        while True:
            ti.set_state(TaskInstanceState.QUEUED)
            described = TaskInstanceOfRunner(
                id=UUID(str(ti.id)),
                task_id=ti.task_id,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                try_number=ti.try_number,
                map_index=ti.map_index,
                dag_version_id=UUID(str(ti.dag_version_id)),
            )
            done = run_task_in_process(ti=described, task=task)
            ti.set_state(done.ti.state)
            ti.task = create_scheduler_operator(done.ti.task)
            if done.error is not None:
                text = f"{type(done.error).__name__}: {done.error}"
                outcome.errors.append((ti.task_id, text))
            if ti.state != TaskInstanceState.DEFERRED or not isinstance(done.msg, DeferTask):
                return
            event = _fired(done.msg, described, patience_s)
            _resume(ti, done.msg.next_method, {"event": serialize(event)})


def new_session() -> Any:
    """Return a session with Airflow's database."""
    if settings.Session is None:
        raise RunError("Airflow has no database; AIRFLOW_HOME has to be set before it starts")
    return settings.Session()


def _fired(message: DeferTask, ti: Any, patience_s: float | None) -> Any:
    """Run the trigger of a deferral, rebuilt from what was serialized."""
    plain: Any = message.trigger_kwargs
    arguments: Any = deserialize(plain)
    if patience_s is not None and "deadline" in arguments:
        soon = datetime.now(UTC) + timedelta(seconds=patience_s)
        arguments["deadline"] = min(datetime.fromisoformat(arguments["deadline"]), soon).isoformat()
    trigger = import_string(message.classpath)(**arguments)
    event = InProcessTestSupervisor.run_trigger_in_process(trigger=trigger, ti=ti)
    if event is None:
        raise RunError(f"{message.classpath} ended without an event")
    return event.payload


def _resume(ti: Any, method: str, arguments: dict[str, Any]) -> None:
    with new_session() as session:
        ti.next_method, ti.next_kwargs = method, arguments
        ti.state = TaskInstanceState.SCHEDULED
        session.merge(ti)
        session.commit()


def _note_end(outcome: Outcome, run: DagRun, session: Any) -> None:
    session.expire_all()
    outcome.state = str(run.state)
    outcome.tasks = [
        TaskRun(ti.task_id, ti.map_index, str(ti.state), ti.try_number)
        for ti in run.get_task_instances(session=session)
    ]


def _shown(run: DagRun) -> str:
    return ", ".join(f"{ti.task_id} is {ti.state}" for ti in run.get_task_instances())
