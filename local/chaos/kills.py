"""``kill -9`` of task processes, triggerer and scheduler of a real Airflow, at every stage.

The supervisor starts again what was killed, with the rest of its session killed first, as systemd
or compose do it by cgroup.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.chaos.kill_plan import Kill, Plan
from local.chaos.metadata import Metadata, Row
from local.chaos.moments import go_on, is_held, log_of, moment, stopped_within
from local.chaos.neighbours import Account
from local.processes import find
from local.stack import Stack

LOOK_EVERY_S = 0.03
CHAIN_WITHIN_S = 1200.0
HOLD_S = 8  # longer than it takes to see that the call was made
# A scheduler that is killed at one stage takes along what runs beside it, whose own turn is then
# at its next try. All tasks have three.
LAST_TRY = {"task process": 1, "scheduler": 2}
# Airflow waits minutes until it believes that a part of it died; these make it quick. Quicker, and
# a scheduler that is late on a busy machine takes its own tasks for those of a dead one.
QUICK_TO_NOTICE = (
    "scheduler.scheduler_heartbeat_sec=1",
    "scheduler.job_heartbeat_sec=1",
    "scheduler.scheduler_health_check_threshold=12",
    "scheduler.orphaned_tasks_check_interval=2",
    "triggerer.job_heartbeat_sec=1",
    "triggerer.triggerer_health_check_threshold=6",
)


class Killer:
    """Looks at what Airflow does, and kills as the plan says."""

    def __init__(self, stack: Stack, account: Account, metadata: Metadata, plan: Plan) -> None:
        self._stack = stack
        self._account = account
        self._metadata = metadata
        self._plan = plan
        self._logs = stack.layout.airflow / "logs"
        self._port = urlsplit(f"//{account.facts['ecs_endpoint']}").port or 0
        self._strays: set[str] = set()  # calls of which another than the victim's was held
        self._triggerers: set[int] = set()  # ids of those that were killed

    def follow(self, is_over: Callable[[], bool]) -> None:
        """Kill until the chain is over."""
        deadline = time.monotonic() + CHAIN_WITHIN_S
        looks = 0
        while time.monotonic() < deadline:
            rows = self._metadata.rows()
            for kill in self._plan.kills:
                if not kill.is_done:
                    self._try(kill, rows)
            self._metadata.end_pauses(rows)
            looks += 1
            if looks % 30 == 0 and is_over():
                return
            time.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"the chain did not end within {CHAIN_WITHIN_S:.0f} s")

    def _try(self, kill: Kill, rows: list[Row]) -> None:
        for row in rows:
            if (row.dag_id, row.task_id) != (kill.dag, kill.stage) or row.map_index > 0:
                continue
            if kill.victim == "triggerer":
                self._kill_triggerer(kill, row)
            elif row.state == "running" and row.try_number <= LAST_TRY[kill.victim]:
                self._kill_running(kill, row)
            elif kill.fault_id and not kill.is_done:
                self._account.disarm(kill.fault_id)  # its process ended before it was held
                kill.fault_id = ""

    def _kill_running(self, kill: Kill, row: Row) -> None:
        process = pid_of_task(row.uuid)
        if kill.hold:
            kill.saw = self._held(kill, process)
        elif process and kill.is_early:
            kill.saw = moment(log_of(self._logs, row))
        else:
            kill.saw = stopped_within(process, log_of(self._logs, row)) if process else ""
        if not kill.saw:
            return
        self._strike(kill, process if kill.victim == "task process" else self._pid("scheduler"))
        kill.at_try = row.try_number
        if not kill.is_done:
            go_on(process)
        if kill.fault_id:
            self._account.disarm(kill.fault_id)

    def _held(self, kill: Kill, process: int) -> str:
        """Hold a task at its call, and say so once it is held, and not another that makes it."""
        if not kill.fault_id:
            fault = {"kind": "slow", "target": kill.hold, "seconds": HOLD_S}
            kill.fault_id = self._account.arm(fault)
            return ""
        is_spent = bool(self._account.struck(kill.fault_id))
        if not process or not (is_spent or kill.hold in self._strays):
            return ""
        if is_held(process, self._port):
            return f"held after {kill.hold}"
        if is_spent:  # on the call of another, which may be one that is to be killed as well
            self._account.disarm(kill.fault_id)
            kill.fault_id = ""
            self._strays.add(kill.hold)
        return ""

    def _kill_triggerer(self, kill: Kill, row: Row) -> None:
        if row.state != "deferred" or row.triggerer_id in (None, *self._triggerers):
            return
        if any(not other.is_done and _precedes(other, kill) for other in self._plan.kills):
            return  # its process comes first
        self._strike(kill, self._pid("triggerer"))
        kill.at_try, kill.saw = row.try_number, f"waiting in triggerer {row.triggerer_id}"
        if row.triggerer_id is not None:
            self._triggerers.add(row.triggerer_id)

    def _strike(self, kill: Kill, pid: int) -> None:
        if strike(pid):
            kill.pid = pid

    def _pid(self, component: str) -> int:
        return pid_of_component(self._stack.state["components"], component)


def _precedes(other: Kill, kill: Kill) -> bool:
    same = (other.dag, other.stage) == (kill.dag, kill.stage)
    return same and other.victim != "triggerer"


def strike(pid: int) -> bool:
    """Kill a process; tell whether there was one. 0 is no process: to the system, it is us all."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False  # it went by itself just now, or is being started again
    return True


def pid_of_component(components: Iterable[Mapping[str, Any]], name: str) -> int:
    """Return the process of a part that runs; 0 for none, also when another has its number now."""
    for each in components:
        if each["name"] == name and find(int(each["pid"]), float(each["started"])):
            return int(each["pid"])
    return 0


def pid_of_task(ti_id: str) -> int:
    """Return the process that carries out a try of a task, by its title; 0 for none."""
    title = f"airflow worker -- {ti_id}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "cmdline").read_bytes().startswith(title):
                    return int(folder.name)
            except OSError:
                continue  # gone meanwhile
    return 0
