"""Nights on a real Airflow with kills in them, judged stage by stage.

``python -m local.chaos.nights --machines paper``, with its home in ``ACK_PRELOAD_LOCAL``: prints
a JSON line for each kill.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TextIO

from ack_preload.store import Run
from local.chain import NIGHTLY, Chain, read_chain
from local.chaos import kill_plan
from local.chaos.cases import SWEEP, SWEEP_NOW, Result
from local.chaos.judge import Scene, doubled, leaked, touched
from local.chaos.kill_plan import Kill, Plan
from local.chaos.kills import QUICK_TO_NOTICE, Killer
from local.chaos.metadata import Metadata
from local.chaos.neighbours import Account
from local.chaos.promises import broken
from local.chaos.world import World, settled
from local.cloud_files import TARGET
from local.layout import Layout
from local.rest import AirflowApi
from local.stack import Stack, start_stack

RUNNER = "a real Airflow"
SWEEP_WITHIN_S = 120.0
GONE_WITHIN_S = 20.0
PLANS = {
    "tasks": kill_plan.task_and_triggerer,
    "scheduler": kill_plan.scheduler,
    "real": kill_plan.on_real_machines,
}
ON_PAPER = ("tasks", "scheduler")


class Nights:
    """A running Airflow with its local cloud, for one night after the other."""

    def __init__(self, stack: Stack, machines: str) -> None:
        self._stack = stack
        self._machines = machines
        self._api: AirflowApi = stack.api()
        layout = stack.layout
        self._world: World = settled(
            Account(stack.facts), layout.emulator(machines), layout.airflow / "ack_preload.db"
        )

    def run(self, plan: Plan) -> list[Result]:
        """Run a night with the kills of a plan; return a result for each."""
        began = time.monotonic()
        before = self._world.account.scene()
        metadata = Metadata(self._stack.layout.airflow / "airflow.db")
        killer = Killer(self._stack, self._world.account, metadata, plan)
        run_id = self._api.trigger(NIGHTLY, {"target": TARGET})
        trouble = ""
        try:
            killer.follow(lambda: self._api.run(NIGHTLY, run_id)["state"] in ("success", "failed"))
        except TimeoutError as exc:
            trouble = str(exc)
        finally:
            self._world.account.disarm_all()
        chain = read_chain(self._api, run_id)
        shared = self._judged(before, chain)
        shared.seconds = round((time.monotonic() - began) / len(plan.kills), 1)
        shared.problems += [trouble] if trouble else []
        return [self._result(kill, chain, shared) for kill in plan.kills]

    def _judged(self, before: Scene, chain: Chain) -> Result:
        """Return what all kills of a night have in common: what it left, doubled and promised."""
        world = self._world
        shared = Result("", "", "", "", self._machines, RUNNER, "green")
        after = world.account.scene()
        if newest := world.store.latest_lock(TARGET):
            world.exported = world.exported or newest.digest  # by the first night of this cloud
            world.lock_digest = newest.digest
        for stage in chain.stages:
            if stage.state == "success":
                shared.false_green += broken(world, Run(stage.dag_id, stage.run_id), after)
        shared.left_before_sweep = leaked(before, after, world.kept())
        shared.problems += self._sweep()
        swept = self._settled(before)
        shared.leaked = leaked(before, swept, world.kept())
        shared.doubled = doubled(before, swept)
        shared.foreign_touched = touched(world.first, swept, world.foreign)
        shared.error = "; ".join(f"{t.dag_id}.{t.task_id} failed" for t in chain.failed)
        return shared

    def _sweep(self) -> list[str]:
        run_id = self._api.trigger(SWEEP, dict(SWEEP_NOW))
        deadline = time.monotonic() + SWEEP_WITHIN_S
        while (state := self._api.run(SWEEP, run_id)["state"]) not in ("success", "failed"):
            if time.monotonic() > deadline:
                return [f"the sweep did not end within {SWEEP_WITHIN_S:.0f} s"]
            time.sleep(0.2)
        return [] if state == "success" else [f"the sweep is {state}"]

    def _settled(self, before: Scene) -> Scene:
        deadline = time.monotonic() + GONE_WITHIN_S
        while True:
            scene = self._world.account.scene()
            is_gone = not leaked(before, scene, self._world.kept())
            if is_gone or time.monotonic() > deadline:
                return scene
            time.sleep(0.2)

    def _result(self, kill: Kill, chain: Chain, shared: Result) -> Result:
        result = Result(**asdict(shared))
        name(result, kill)
        result.struck = int(kill.is_done)
        tasks = [
            task
            for stage in chain.stages
            for task in stage.tasks
            if (task.dag_id, task.task_id) == (kill.dag, kill.stage)
        ]
        result.tries = max((task.try_number for task in tasks), default=0)
        good = bool(tasks) and all(task.state == "success" for task in tasks)
        result.outcome = "green" if good and chain.state == "success" else "red"
        if result.outcome == "red":
            states = [f"{task.task_id} is {task.state}" for task in tasks]
            result.problems.append(f"the night is {chain.state}, {', '.join(states) or 'not run'}")
        result.problems += _proof(kill, tasks[0].try_number if tasks else 0)
        return result


def name(result: Result, kill: Kill) -> None:
    """Write into a result which kill it is of, and where that fell."""
    result.dag, result.stage = kill.dag, kill.stage
    result.fault = f"kill -9 of the {kill.victim}"
    on = "" if result.machines == "paper" else f"@{result.machines}"
    result.case = f"{kill.dag}.{kill.stage}/{result.fault}{on}"
    result.fault += f", {kill.saw}" if kill.is_done else ""


def untold(plans: Iterable[Plan], machines: str) -> list[Result]:
    """Return a bad result for each kill of nights that came to no end, so that none is missing."""
    found = []
    for kill in (kill for plan in plans for kill in plan.kills):
        result = Result("", "", "", "", machines, RUNNER, "green")
        name(result, kill)
        result.struck = int(kill.is_done)
        result.problems.append("its night did not come to an end: this proves nothing")
        found.append(result)
    return found


def _proof(kill: Kill, tries: int) -> list[str]:
    """Return what is missing to say that the kill hit the stage while it was under way."""
    if not kill.is_done:
        return ["the kill never struck: this proves nothing"]
    if kill.victim != "triggerer" and tries <= kill.at_try:
        return [f"process {kill.pid} was killed in try {kill.at_try}, and there was no other"]
    if kill.victim == "triggerer" and tries != kill.at_try:
        return [f"the wait of try {kill.at_try} did not go on: there were {tries} tries"]
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.chaos.nights", description=__doc__)
    parser.add_argument("--machines", choices=["paper", "real"], default="paper")
    parser.add_argument("--plan", choices=sorted(PLANS), action="append")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and its stack is stopped
    to_come = [PLANS[plan]() for plan in options.plan or ON_PAPER]
    try:
        with _running(options) as nights:
            while to_come:
                results = nights.run(to_come[0])
                del to_come[0]
                _tell(results, answers)
    finally:
        _tell(untold(to_come, options.machines), answers)
    return 0


@contextmanager
def _running(options: argparse.Namespace) -> Iterator[Nights]:
    quick = [word for change in QUICK_TO_NOTICE for word in ("--airflow", change)]
    stack = start_stack(
        Layout.default(),
        options.machines,
        samples=1,
        stay=False,
        settings=options.set,
        options=["--restart", *quick],
    )
    try:
        stack.wait_ready(lambda step: None)
        yield Nights(stack, options.machines)
    finally:
        stack.stop()


def _tell(results: Iterable[Result], answers: TextIO) -> None:
    for result in results:
        print(json.dumps(asdict(result)), file=answers, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
