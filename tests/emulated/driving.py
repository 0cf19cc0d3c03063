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


class XComs:
    """The XComs of one DAG run; ``of`` gives a task its view of them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Any] = {}

    def of(self, task_id: str) -> dict[str, Any]:
        def push(key: str, value: Any) -> None:
            self._kept[task_id, key] = json.loads(json.dumps(value))

        def pull(task_ids: str | list[str], key: str = "return_value", **_: Any) -> Any:
            if isinstance(task_ids, str):
                return self._kept.get((task_ids, key))
            return [self._kept.get((each, key)) for each in task_ids]

        return {"xcom_push": push, "xcom_pull": pull}


def context(xcoms: XComs | None = None, **overrides: Any) -> Any:
    """Return as much of a task's context as operators read.

    :param xcoms: those of the run, where tasks are to see each other's.
    """
    xcoms = xcoms or XComs()
    ti = {
        "dag_id": "build_preloaded_disk",
        "run_id": "manual__1",
        "task_id": "task",
        "map_index": -1,
        "max_tries": 2,
        "try_number": 1,
    }
    run = SimpleNamespace(start_date=STARTED, logical_date=STARTED, run_after=STARTED)
    ti |= {"get_dr_count": lambda dag_id, run_ids, states: 0, **overrides}
    return {"ti": SimpleNamespace(**xcoms.of(str(ti["task_id"])), **ti), "dag_run": run}


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
