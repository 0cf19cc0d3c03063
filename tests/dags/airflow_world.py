"""What tests on a real Airflow share: the stack, looks at it, and what people do in its UI."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ack_preload.domain.tags import is_of_installation
from ack_preload.store import Store
from local.layout import HOME_VARIABLE, Layout
from local.rest import AirflowApi
from local.stack import Stack, start_stack

RUN_WITHIN_S = 1500  # tells that something hangs; a night of a loaded machine takes minutes
LOOK_EVERY_S = 0.5
# Only what no measurement is made of: created -> Ready is told in whole seconds, and needs some.
SHORT_WAITS = (
    "instance_stop_s=0.1",
    "agent_boot_s=0.1",
    "snapshot_upload_s=0.2",
    "task_step_s=0.1",
)
ENDED = ("success", "failed")
# The pool of the target with its node, and what the next nodes are made from.
AFTER_ONE_NIGHT = {"node_pool": 1, "instance": 1, "snapshot": 1}


class World:
    """A running Airflow and the local cloud that it works on."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.api: AirflowApi = stack.api()
        self.facts = stack.facts
        self.sent_by_night = ""  # its part of requests.jsonl; what other tests send comes later

    @property
    def store(self) -> Store:
        return Store(f"sqlite:///{self.stack.layout.airflow / 'ack_preload.db'}")

    @cached_property
    def installation(self) -> str:
        return self.store.installation()

    def resources(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.facts['control_url']}/state", trust_env=False)
        found: list[dict[str, Any]] = answer.json()["resources"]
        return found

    def leftovers(self) -> Counter[str]:
        """Return how many of each kind this Airflow has in the local cloud."""
        return Counter(
            each["kind"]
            for each in self.resources()
            if is_of_installation(each["tags"], self.installation)
            and each["kind"] not in ("node", "disk")
        )

    def requests(self) -> str:
        return (self.stack.layout.emulator("paper") / "requests.jsonl").read_text()

    def finish(self, dag_id: str, run_id: str) -> str:
        """Wait until a run has ended and return its state."""
        self.until(lambda: self.api.run(dag_id, run_id)["state"] in ENDED)
        return str(self.api.run(dag_id, run_id)["state"])

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + RUN_WITHIN_S
        while not met():
            assert time.monotonic() < deadline, f"not met after {RUN_WITHIN_S} s"
            time.sleep(LOOK_EVERY_S)

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {task["task_id"]: str(task["state"]) for task in self.api.tasks(dag_id, run_id)}

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.api.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    @contextmanager
    def paused(self, dag_id: str) -> Iterator[None]:
        """Keep the scheduler off the runs of a DAG; it is past them when this begins."""
        path, paused = f"/dags/{dag_id}", {"update_mask": "is_paused"}
        self.api.call("PATCH", path, {"is_paused": True}, **paused)
        moment = datetime.now(UTC)
        try:
            self.until(lambda: self._scheduler_beat() > moment)
            yield
        finally:
            self.api.call("PATCH", path, {"is_paused": False}, **paused)

    def _scheduler_beat(self) -> datetime:
        scheduler = self.api.call("GET", "/monitor/health")["scheduler"]
        return datetime.fromisoformat(scheduler["latest_scheduler_heartbeat"])

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self.api.call("PATCH", run_path(dag_id, run_id), {"state": state})


def run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


@contextmanager
def running_world(home: Path) -> Iterator[World]:
    """Run Airflow and a local cloud of paper machines in ``home``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        # Only here: it outlives many tests, and others have a folder of their own.
        stack = start_stack(Layout.default(), "paper", samples=1, stay=False, settings=SHORT_WAITS)
    try:
        stack.wait_ready(lambda step: None)
        yield World(stack)
    finally:
        stack.stop()


def run_a_night(world: World) -> str:
    """Run the whole chain once; return the run id of the night."""
    world.api.unpause("nightly_preload")
    run_id = world.api.trigger("nightly_preload", {"target": "demo"})
    ended = world.finish("nightly_preload", run_id)
    assert ended == "success", world.states("nightly_preload", run_id)
    world.sent_by_night = world.requests()
    return run_id
