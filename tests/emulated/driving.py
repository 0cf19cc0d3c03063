"""Run an operator as Airflow does: execute, defer, trigger from its serialized form, resume."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.triggers.state import StateTrigger
from emulator.app import Handle

INSTALLATION = "tests"
STARTED = datetime.now(UTC).replace(microsecond=0)


class Run:
    """What Airflow keeps for the tasks of one DAG run: XComs, state stores, states of tasks."""

    def __init__(self) -> None:
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.stores: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what a task instance can do with them."""

        def push(key: str, value: Any) -> None:
            self.xcoms[task_id, key] = json.loads(json.dumps(value))

        def pull(task_ids: str | list[str], key: str = "return_value", **_: Any) -> Any:
            if isinstance(task_ids, str):
                return self.xcoms.get((task_ids, key))
            return [self.xcoms.get((each, key)) for each in task_ids]

        def states(dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
            known = {name: self.states[name] for name in task_ids if name in self.states}
            return {run_ids[0]: known} if known else {}

        return {"xcom_push": push, "xcom_pull": pull, "get_task_states": states}

    def begins_again(self, task_id: str) -> None:
        """Forget the XComs of a task, as Airflow does when a try begins; its store stays."""
        for known in [each for each in self.xcoms if each[0] == task_id]:
            del self.xcoms[known]


class StateStore:
    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept

    def get(self, key: str, default: Any = None) -> Any:
        return self._kept.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._kept[key] = json.loads(json.dumps(value))


def context(run: Run | None = None, **overrides: Any) -> Any:
    """Return as much of a task's context as operators read: at the beginning of a try.

    :param run: where tasks, or tries of one, are to see what others left.
    """
    run = run or Run()
    ti = {
        "dag_id": "build_preloaded_disk",
        "run_id": "manual__1",
        "task_id": "task",
        "map_index": -1,
        "max_tries": 2,
        "try_number": 1,
        "get_dr_count": lambda dag_id, run_ids, states: 0,  # no other run is at work
        **overrides,
    }
    task_id = ti["task_id"]
    run.begins_again(task_id)
    return {
        "ti": SimpleNamespace(**run.task(task_id), **ti),
        "dag_run": SimpleNamespace(start_date=STARTED, logical_date=STARTED, run_after=STARTED),
        "task_state_store": StateStore(run.stores.setdefault(task_id, {})),
    }


def perform(operator: BaseOperator, task: Any = None) -> Any:
    """Return what the operator returns in the end, through all its deferrals."""
    task = task or context()
    step: Any = operator.execute
    arguments: tuple[Any, ...] = ()
    while True:
        try:
            return step(task, *arguments)
        except TaskDeferred as deferred:
            step, arguments = getattr(operator, deferred.method_name), (fired(deferred),)


def deferred_by(operator: BaseOperator, task: Any = None) -> TaskDeferred:
    """Return the first deferral of the operator, as if the worker had died right after it."""
    try:
        answer = operator.execute(task or context())
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError(f"not deferred, but returned {answer!r}")


def fired(deferred: TaskDeferred) -> dict[str, Any]:
    """Run the trigger of a deferral, rebuilt from JSON as the triggerer does."""
    if isinstance(deferred.trigger, DateTimeTrigger):
        return _waited_for(deferred.trigger.moment)
    _, kwargs = deferred.trigger.serialize()
    rebuilt = StateTrigger(**json.loads(json.dumps(kwargs)))

    async def first() -> dict[str, Any]:
        async for event in rebuilt.run():
            payload: dict[str, Any] = event.payload
            return payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def _waited_for(moment: datetime) -> dict[str, Any]:
    """Wait as the trigger does, without its pauses of whole seconds."""

    async def wait() -> dict[str, Any]:
        await asyncio.sleep((moment - datetime.now(UTC)).total_seconds())
        return {"moment": moment.isoformat()}

    return asyncio.run(wait())


def connection(facts: dict[str, Any], **extra: Any) -> str:
    """Return the Airflow connection to a local cloud, as JSON."""
    return json.dumps(
        {
            "conn_type": "alibaba_cloud",
            "login": facts["access_key_id"],
            "password": facts["access_key_secret"],
            "extra": {
                "region": facts["region_id"],
                "ecs_endpoint": facts["ecs_endpoint"],
                "cs_endpoint": facts["cs_endpoint"],
                "protocol": "http",
                "packages_url": facts["packages_url"],
                "poll_every_s": 0.02,
                "calls_per_s": 500,
                "installation": INSTALLATION,
                "visible_within_s": 0.05,
                **extra,
            },
        }
    )


def target(handle: Handle, **pool: Any) -> dict[str, Any]:
    """Return a target on the seeded world of a local cloud."""
    facts = handle.facts
    return {
        "name": "demo",
        "cluster_id": facts["cluster_id"],
        "source": {"node_pool_id": facts["node_pool_id"], "nodes": 1},
        "build": {
            "instance_type": facts["instance_type"],
            "zone_id": facts["zone_id"],
            "vswitch_id": facts["vswitch_id"],
            "security_group_id": facts["security_group_id"],
            "image_id": facts["image_id"],
            "disk_gib": 40,
        },
        "pool": {
            "name": "preloaded",
            "instance_types": [facts["instance_type"]],
            "vswitch_ids": [facts["vswitch_id"]],
            **pool,
        },
        "limits": {"expire_after_h": 12},
    }
