"""The watcher's verdict on a run, and what a parent does with a child that exists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunState as ChildState
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRuntimeError,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DagRunStateResult,
    DRCount,
    ErrorResponse,
    GetDagRunState,
    GetDRCount,
    OKResponse,
    TriggerDagRun,
)
from airflow.utils.state import DagRunState

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.operators.children import RunChildDagOperator, child_run_id
from ack_preload.operators.watch import WatchRunOperator
from ack_preload.triggers.child_run import ChildRunTrigger


def run_with(**states: str | None) -> Any:
    """Return the context of a task in a run whose tasks have these states."""

    class Task(SimpleNamespace):
        def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
            assert (dag_id, run_ids) == ("d", ["r"])
            return {"r": states}

    return {"ti": Task(dag_id="d", run_id="r")}


def test_a_run_without_a_failure_is_good() -> None:
    assert WatchRunOperator(task_id="w").execute(run_with(a="success", w="running")) == 2


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed"])
def test_a_task_that_did_not_do_its_work_makes_the_run_red(state: str) -> None:
    with pytest.raises(AirflowFailException, match=f"r: b is {state}; clear"):
        WatchRunOperator(task_id="w").execute(run_with(a="success", b=state))


def parent(state: DagRunState | None, *, paused: bool = False) -> Any:
    """Return the context of a parent whose child has this state; ``None`` for no child yet."""

    class Task(SimpleNamespace):
        def get_dr_count(self, dag_id: str, run_ids: list[str]) -> int:
            return int(state is not None)

        def get_dagrun_state(self, dag_id: str, run_id: str) -> DagRunState | None:
            return state

        def get_dag(self, dag_id: str) -> Any:
            return SimpleNamespace(is_paused=paused)

        def xcom_push(self, key: str, value: Any) -> None:
            self.pushed[key] = value

    return {"ti": Task(dag_id="nightly_preload", run_id="night", pushed={})}


def operator() -> RunChildDagOperator:
    return RunChildDagOperator(task_id="c", child="build_preloaded_disk", target="demo")


class Airflow:
    """What a task process hears of Airflow: it keeps what is sent, and gives one answer."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer or OKResponse(ok=True)
        self.sent: list[TriggerDagRun] = []

    def send(self, message: TriggerDagRun) -> Any:
        self.sent.append(message)
        return self.answer


def execute(airflow: Airflow, task: Any) -> Any:
    """Run the operator up to its deferral, and return the trigger that waits for the child."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
        with pytest.raises(TaskDeferred) as waiting:
            operator().execute(task)
    return waiting.value.trigger


def test_a_new_child_is_started_with_the_target_and_the_chain() -> None:
    airflow, task = Airflow(), parent(None)
    assert execute(airflow, task).run_ids == [child_run_id("night", "demo")]
    (started,) = airflow.sent
    assert started.run_id == child_run_id("night", "demo") == task["ti"].pushed["trigger_run_id"]
    assert started.conf == {"target": "demo", "chain": "night"}
    assert started.reset_dag_run is False


def test_a_child_whose_start_got_no_reply_is_there_and_waited_for() -> None:
    airflow = Airflow(ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS))
    assert execute(airflow, parent(None)).run_ids == [child_run_id("night", "demo")]


def test_what_else_airflow_refuses_is_an_error_that_may_be_tried_again() -> None:
    refused = Airflow(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", refused, raising=False)
        with pytest.raises(AirflowRuntimeError):
            operator().execute(parent(None))


def test_a_child_that_succeeded_is_taken_as_it_is() -> None:
    operator().execute(parent(DagRunState.SUCCESS))


@pytest.mark.parametrize("state", [DagRunState.QUEUED, DagRunState.RUNNING])
def test_a_child_that_runs_is_waited_for(state: DagRunState) -> None:
    with pytest.raises(TaskDeferred) as waiting:
        operator().execute(parent(state))
    assert waiting.value.trigger.run_ids == [child_run_id("night", "demo")]


def test_a_child_that_failed_runs_again() -> None:
    airflow = Airflow()
    execute(airflow, parent(DagRunState.FAILED))
    assert [each.reset_dag_run for each in airflow.sent] == [True]


def test_a_paused_child_is_told_instead_of_waited_for() -> None:
    with pytest.raises(Exception, match="build_preloaded_disk is paused"):
        operator().execute(parent(None, paused=True))


def test_a_child_that_fails_names_its_run_and_the_mend() -> None:
    run_id = child_run_id("night", "demo")
    event = ("path", {"run_ids": [run_id], run_id: "failed"})
    with pytest.raises(
        ResourceFailedError, match=f"run {run_id} of build_preloaded_disk is failed"
    ):
        operator().execute_complete(parent(None), event)


def test_a_child_that_ends_well_is_enough() -> None:
    run_id = child_run_id("night", "demo")
    operator().execute_complete(parent(None), ("path", {"run_ids": [run_id], run_id: "success"}))


async def outcome(states: list[str | None]) -> tuple[str, dict[str, Any]]:
    """Return what the trigger tells of a child that is in these states, one look after another.

    ``None`` stands for a run that is not there.
    """

    class Database:
        def send(self, msg: GetDRCount | GetDagRunState) -> Any:
            if isinstance(msg, GetDagRunState):
                return DagRunStateResult(state=ChildState(states[0]))
            if msg.states is None:
                return DRCount(count=int(states[0] is not None))
            found = int(states[0] in msg.states)
            if not found:
                states.pop(0)
            return DRCount(count=found)

    run_id = child_run_id("night", "demo")
    ends = [DagRunState.SUCCESS, DagRunState.FAILED]
    sent = ChildRunTrigger("build_preloaded_disk", ends, [run_id], poll_interval=0)
    path, words = sent.serialize()
    assert path == f"{ChildRunTrigger.__module__}.ChildRunTrigger"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", Database(), raising=False)
        (event,) = [each.payload async for each in ChildRunTrigger(**words).run()]
    found: tuple[str, dict[str, Any]] = event
    return found


@pytest.mark.parametrize("end", ["success", "failed"])
async def test_a_child_is_waited_for_until_it_ends(end: str) -> None:
    _, told = await outcome(["queued", "running", end])
    assert told[child_run_id("night", "demo")] == end


async def test_a_child_that_is_deleted_while_it_is_waited_for_fails_with_the_mend() -> None:
    event = await outcome(["running", None])
    with pytest.raises(ResourceFailedError, match=r"was deleted .*; clear this task: it starts"):
        operator().execute_complete(parent(None), event)


def test_targets_and_nights_have_children_of_their_own() -> None:
    names = {child_run_id(night, target) for night in ("a", "b") for target in ("x", "y")}
    assert len(names) == 4
