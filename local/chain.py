"""What one ``nightly_preload`` run has come to: its children, their tasks, their times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.rest import AirflowApi

NIGHTLY = "nightly_preload"
STAGES = {
    "export_image_list": "Export the image list of a live node",
    "build_preloaded_disk": "Build the preloaded disk, snapshot it",
    "roll_out_node_pool": "Roll out a node pool, prove the images",
    "measure_ready_latency": "Measure created -> Ready, both arms",
}
_ENDED = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class Task:
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str  # Airflow's word; "none" before it is scheduled
    try_number: int
    started: datetime | None
    ended: datetime | None
    operator: str

    @property
    def seconds(self) -> float | None:
        """Time from its first start to its end, deferred time included."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class Stage:
    dag_id: str
    run_id: str
    state: str
    started: datetime | None
    ended: datetime | None
    tasks: tuple[Task, ...]

    @property
    def seconds(self) -> float:
        if self.started is None:
            return 0.0
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    @property
    def current(self) -> Task | None:
        """The task that works or waits now; the latest, when there are several."""
        busy = [task for task in self.tasks if task.state in ("running", "deferred")]
        return max(
            busy, key=lambda task: task.started or datetime.min.replace(tzinfo=UTC), default=None
        )


@dataclass(frozen=True, slots=True)
class Chain:
    run_id: str
    state: str
    started: datetime | None
    ended: datetime | None
    own: tuple[Task, ...]  # tasks of nightly_preload itself
    stages: tuple[Stage, ...]  # children that exist so far, in the order of STAGES

    @property
    def seconds(self) -> float:
        if self.started is None:
            return 0.0
        return round(((self.ended or datetime.now(UTC)) - self.started).total_seconds(), 1)

    @property
    def is_over(self) -> bool:
        return self.state in _ENDED

    @property
    def failed(self) -> list[Task]:
        """Tasks that failed by themselves, first failure first; children before the parent."""
        tasks = [task for stage in self.stages for task in stage.tasks]
        order = datetime.max.replace(tzinfo=UTC)
        found = sorted(
            (task for task in tasks if task.state == "failed"), key=lambda task: task.ended or order
        )
        return found or [task for task in self.own if task.state == "failed"]


def read_chain(api: AirflowApi, run_id: str) -> Chain:
    """Ask Airflow for the run and for every child that carries its id."""
    nightly = api.run(NIGHTLY, run_id)
    stages = []
    for dag_id in STAGES:
        for run in api.runs_since(dag_id, nightly["run_after"]):
            if (run.get("conf") or {}).get("chain") == run_id:
                stages.append(_stage(api, run))
    return Chain(
        run_id=run_id,
        state=nightly["state"],
        started=_moment(nightly["start_date"]),
        ended=_moment(nightly["end_date"]),
        own=tuple(_task(each) for each in api.tasks(NIGHTLY, run_id)),
        stages=tuple(stages),
    )


def _stage(api: AirflowApi, run: dict[str, Any]) -> Stage:
    return Stage(
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        state=run["state"],
        started=_moment(run["start_date"]),
        ended=_moment(run["end_date"]),
        tasks=tuple(_task(each) for each in api.tasks(run["dag_id"], run["dag_run_id"])),
    )


def _task(found: dict[str, Any]) -> Task:
    return Task(
        dag_id=found["dag_id"],
        run_id=found["dag_run_id"],
        task_id=found["task_id"],
        map_index=found["map_index"],
        state=found["state"] or "none",
        try_number=found["try_number"],
        started=_moment(found["start_date"]),
        ended=_moment(found["end_date"]),
        operator=found["operator_name"] or "",
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
