"""Policies that every DAG here obeys. A failing one says what to do."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
from airflow.utils.types import DagRunType

from ack_preload.operators.build_instance import RunBuildInstanceOperator
from ack_preload.operators.conventions import OWNER, TAG
from ack_preload.operators.key_pair import ImportKeyPairOperator
from ack_preload.operators.measure import MeasureSampleOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.retry_policy import TEARDOWN_POLICY
from ack_preload.operators.snapshot import CreateSnapshotOperator
from ack_preload.operators.watch import WatchRunOperator
from tests.dags.conftest import DAGS

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

INVENTORY = {
    "build_preloaded_disk": "build",
    "export_image_list": "build",
    "measure_ready_latency": "measure",
    "nightly_preload": "nightly",
    "roll_out_node_pool": "rollout",
    "sweep_leftovers": "sweep",
}
PAID = (
    RunBuildInstanceOperator,
    ImportKeyPairOperator,
    CreateSnapshotOperator,
    ApplyNodePoolOperator,
    MeasureSampleOperator,
)
MOST_LINES = 120
SDK = ("alibabacloud_", "Tea", "darabonba", "kubernetes_asyncio", "kubernetes", "alembic")


def tasks(dagbag: DagBag) -> Iterator[tuple[Any, Any]]:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            yield dag, task


def kind(task: Any) -> type[Any]:
    """Return the class of an operator, of a mapped one too."""
    found: type[Any] = getattr(task, "operator_class", type(task))
    return found


def test_all_dags_parse_and_there_are_exactly_these(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == set(INVENTORY), (
        "the DAGs differ from INVENTORY: add the new one to it, or take the old one out, and run "
        "docs/reference/generate.py"
    )


def test_each_file_is_named_as_its_dag_and_is_a_table_of_contents(dagbag: DagBag) -> None:
    for path in DAGS.glob("*.py"):
        assert path.stem in dagbag.dags, f"{path.name}: name the file as the DAG in it"
        lines = len(path.read_text().splitlines())
        assert lines <= MOST_LINES, (
            f"{path.name} has {lines} lines: move code into an operator; a DAG file only chains"
        )
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name != path.stem:
                assert len(node.body) <= 3, f"{path.name}: {node.name} has logic; make an operator"


def test_tags_say_whose_it_is_and_what_it_does(dagbag: DagBag) -> None:
    for dag_id, dag in dagbag.dags.items():
        assert dag.tags == {TAG, INVENTORY[dag_id]}, f"{dag_id}: tags=[TAG, {INVENTORY[dag_id]!r}]"


@pytest.mark.parametrize("question", ["Run again", "Left behind if it fails", "Owner"])
def test_the_docs_answer_the_person_on_call(dagbag: DagBag, question: str) -> None:
    for dag_id, dag in dagbag.dags.items():
        assert f"- **{question}**: " in (dag.doc_md or ""), (
            f"{dag_id}: its docstring, which is doc_md, lacks a line `- **{question}**: ...`"
        )


def test_everyone_has_an_owner_retries_and_the_retry_policy(dagbag: DagBag) -> None:
    for dag, task in tasks(dagbag):
        where = f"{dag.dag_id}.{task.task_id}: pass default_args=DEFAULT_ARGS"
        assert task.owner == OWNER, where
        assert task.retries >= 2, where
        assert task.retry_policy is not None, where


def test_every_paid_resource_has_a_teardown_that_can_turn_the_run_red(dagbag: DagBag) -> None:
    for dag, task in tasks(dagbag):
        if not issubclass(kind(task), PAID):
            continue
        teardowns = [
            each
            for each in (dag.get_task(task_id) for task_id in task.get_flat_relative_ids())
            if each.is_teardown
            and each.on_failure_fail_dagrun
            and kind(each) is not WatchRunOperator
        ]
        assert teardowns, (
            f"{dag.dag_id}.{task.task_id} makes something that costs money: give it a task with "
            ".as_teardown(setups=..., on_failure_fail_dagrun=True)"
        )


def test_what_makes_a_paid_resource_is_a_setup_of_what_undoes_it(dagbag: DagBag) -> None:
    for dag, task in tasks(dagbag):
        # A sample makes a node of a pool, which goes with the pool.
        if issubclass(kind(task), PAID) and kind(task) is not MeasureSampleOperator:
            undone = [each for each in task.downstream_list if each.is_teardown]
            assert task.is_setup, f"{dag.dag_id}.{task.task_id}: name it in setups of its teardown"
            assert undone, (
                f"{dag.dag_id}.{task.task_id}: clearing what comes after it has to make it anew "
                "and to undo it again, so name it in the setups of its teardown"
            )


def test_a_teardown_runs_although_what_it_undoes_failed_half_way(dagbag: DagBag) -> None:
    for dag, task in tasks(dagbag):
        if task.is_teardown and kind(task) is not WatchRunOperator:
            setups = {each.task_id for each in task.upstream_list if each.is_setup}
            assert "read_inputs" in setups, (
                f"{dag.dag_id}.{task.task_id}: a teardown runs when at least one of its setups "
                "succeeded; name read_inputs, which always has when something was made"
            )
            assert task.retries > 2, f"{dag.dag_id}.{task.task_id}: retries=TEARDOWN_RETRIES"


@pytest.mark.parametrize(
    "dag_id", ["build_preloaded_disk", "measure_ready_latency", "roll_out_node_pool"]
)
def test_a_teardown_does_not_give_up_at_the_first_refusal(dagbag: DagBag, dag_id: str) -> None:
    for task in dagbag.dags[dag_id].tasks:
        if task.is_teardown and kind(task) is not WatchRunOperator:
            assert task.retry_policy == TEARDOWN_POLICY, f"{task.task_id}: **TEARDOWN"


def test_a_paused_child_cannot_hang_the_nights_for_ever(dagbag: DagBag) -> None:
    assert dagbag.dags["nightly_preload"].dagrun_timeout == timedelta(hours=12)


def test_the_way_back_goes_even_when_a_person_marks_the_rollout_failed(dagbag: DagBag) -> None:
    dag = dagbag.dags["roll_out_node_pool"]
    way_back = dag.get_task("go_way_back")
    assert way_back.is_teardown, "marking a run failed skips all but teardowns"
    assert "record_rollout" in way_back.upstream_task_ids, "it asks what that task recorded"
    setups = {each.task_id for each in way_back.upstream_list if each.is_setup}
    between = {"create_canary_pool", "add_canary_node", "prove_images", "promote_snapshot"}
    assert setups == {"read_inputs", *between}


def test_clearing_the_end_of_a_rollout_makes_its_proof_anew(dagbag: DagBag) -> None:
    dag = dagbag.dags["roll_out_node_pool"]
    for task_id in ("await_new_nodes", "record_rollout"):
        again = dag.get_task(task_id).get_upstreams_only_setups_and_teardowns()
        assert {"read_inputs", "prove_images", "promote_snapshot", "delete_canary_pool"} <= {
            task.task_id for task in again
        }, f"{task_id}: name all that a rollout rests on in the setups of go_way_back"


def test_a_watcher_is_the_only_task_that_decides_the_colour_of_a_run(dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        leaves = [task for task in dag.tasks if not task.downstream_task_ids]
        assert [kind(leaf) for leaf in leaves] == [WatchRunOperator], (
            f"{dag.dag_id}: chain everything, teardowns too, into one WatchRunOperator"
        )
        (watcher,) = leaves
        assert watcher.is_teardown
        assert watcher.on_failure_fail_dagrun
        assert len(watcher.get_flat_relative_ids(upstream=True)) == len(dag.tasks) - 1


def test_nothing_waits_in_a_worker() -> None:
    forbidden = re.compile(r"\btime\.sleep\b|mode=[\"']reschedule|Sensor\(|@task\.sensor")
    for path in [*DAGS.glob("*.py"), *(DAGS.parent / "include").rglob("operators/*.py")]:
        assert not forbidden.search(path.read_text()), f"{path}: wait in StateTrigger, deferred"


def test_a_run_that_costs_money_is_not_started_twice_by_schedule(dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        assert not dag.catchup, f"{dag.dag_id}: catchup=False; a missed night is not made up for"
    assert dagbag.dags["nightly_preload"].max_active_runs == 1


def test_only_what_a_person_switches_on_makes_resources_by_itself(dagbag: DagBag) -> None:
    paused = {name: dag.is_paused_upon_creation for name, dag in dagbag.dags.items()}
    assert paused.pop("nightly_preload") is None, "nightly_preload: leave it to the deployment"
    assert set(paused.values()) == {False}, "a DAG that others trigger must not start paused"


def test_samples_run_one_at_a_time(dagbag: DagBag) -> None:
    task: Any = dagbag.dags["measure_ready_latency"].get_task("measure_sample")
    assert task.partial_kwargs["max_active_tis_per_dagrun"] == 1


def test_all_params_say_what_they_are(dagbag: DagBag) -> None:
    for dag_id, dag in dagbag.dags.items():
        for name, param in dag.params.items():
            schema = dag.params.get_param(name).schema
            assert schema.get("type"), f"{dag_id}: param {name} has no type"
            text = dag.params.get_param(name).description
            assert text, f"{dag_id}: param {name} has no description ({param!r})"


def dry_run_of(dagbag: DagBag, run_type: DagRunType, **params: bool) -> str:
    """Return what the sweep's template says for a run of that type."""
    dag: Any = dagbag.dags["sweep_leftovers"]
    given = {name: dag.params[name] for name in dag.params} | params
    template = jinja2.Template(dag.get_task("sweep").is_dry_run)
    return str(template.render(params=given, dag_run=SimpleNamespace(run_type=run_type)))


def test_the_sweep_deletes_every_hour_and_by_hand_only_when_asked_to(dagbag: DagBag) -> None:
    dag: Any = dagbag.dags["sweep_leftovers"]
    assert dag.timetable.expression == "7 * * * *"
    assert dry_run_of(dagbag, DagRunType.SCHEDULED) == "False"
    for run_type in set(DagRunType) - {DagRunType.SCHEDULED}:
        assert dry_run_of(dagbag, run_type) == "True", f"{run_type}: a dry run is the default"
        assert dry_run_of(dagbag, run_type, dry_run=False) == "False"
    told = dag.params.get_param("dry_run").description
    assert "hourly runs always delete" in told, "the form must say what the schedule does"


PARSE = """
import runpy, sys
from pathlib import Path
for path in Path("dags").glob("*.py"):
    runpy.run_path(str(path))
print(*sys.modules)
"""


def test_parsing_loads_no_cloud_sdk() -> None:
    parsed = subprocess.run(
        [sys.executable, "-c", PARSE],
        cwd=DAGS.parent,
        env=os.environ | {"PYTHONPATH": "include"},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {name.partition(".")[0] for name in parsed.stdout.split() if name.startswith(SDK)}
    assert not heavy, f"parsing the DAGs loads {heavy}: import it inside the hook that uses it"
