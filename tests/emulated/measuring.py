"""What tests of measuring share: a task with XComs, a history of its own, two pools."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ack_preload.domain.workload import temporary_target
from ack_preload.operators.measure import MeasureSampleOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from emulator.app import Handle
from tests.emulated.driving import STARTED, perform, target


class Task(SimpleNamespace):
    """A task instance with as much of Airflow's XCom as operators use."""

    def __init__(self, **overrides: Any) -> None:
        known = {
            "dag_id": "measure_ready_latency",
            "run_id": "manual__1",
            "task_id": "measure_sample",
            "map_index": 0,
            "max_tries": 2,
            "try_number": 1,
        }
        super().__init__(**(known | overrides))
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.pushed[key]


def measuring(**overrides: Any) -> Any:
    """Return the context of a task that takes a sample."""
    run = SimpleNamespace(start_date=STARTED, logical_date=STARTED, run_after=STARTED)
    return {"ti": Task(**overrides), "dag_run": run, "params": {"chain": ""}}


def measured(handle: Handle, **measure: Any) -> dict[str, Any]:
    """Return the seeded target as a measurement has it."""
    fields = {
        "samples": 2,
        "workload_image": handle.facts["workload_image"],
        "ready_within_s": 60,
        "running_within_s": 60,
        "namespace": "default",
        **measure,
    }
    return temporary_target({**target(handle), "measure": fields})


def make_pool(handle: Handle, name: str = "ack-preload-baseline-1") -> str:
    operator = ApplyNodePoolOperator(
        task_id="create_pool",
        target=measured(handle),
        pool_name=name,
        snapshot_id=None,
        purpose="measure",
    )
    return str(perform(operator, measuring())["node_pool_id"])


def sample(
    handle: Handle, pool_id: str, *, number: int = 0, **measure: Any
) -> MeasureSampleOperator:
    return MeasureSampleOperator(
        task_id="measure_sample",
        target=measured(handle, **measure),
        sample={"arm": "baseline", "number": number, "node_pool_id": pool_id},
    )
