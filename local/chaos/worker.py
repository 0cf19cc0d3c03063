"""A process that runs cases one after another: JSON lines in, JSON lines out.

``python -m local.chaos.worker FOLDER``, in an environment that names Airflow's home and database.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ack_preload.store import Run
from local.chaos.airflow_runs import Airflow
from local.chaos.bodies import bodies
from local.chaos.cases import BUILD, EXPORT, SWEEP, SWEEP_NOW, Case, Result
from local.chaos.judge import Scene, altered, doubled, leaked, touched
from local.chaos.mishaps import Beside
from local.chaos.outcome import Outcome, left_open, shown_error, unexpected
from local.chaos.promises import broken, undone
from local.chaos.world import World, pool_disks, world
from local.cloud_files import TARGET

RUN_WITHIN_S = 540.0
GONE_WITHIN_S = 20.0
CASES_OF_A_WORLD = 12  # then a new one, so that what is kept does not pile up
UNFINISHED = ("record_snapshot", "discard_snapshot", "delete_instance", "delete_key_pair")
RUNNER = "airflow in one process"


class Worker:
    """Airflow in this process, and the local cloud of the cases that share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._airflow = Airflow()
        self._numbers = itertools.count(1)
        self._undo = contextlib.ExitStack()
        self._world: World | None = None
        self._of = ""
        self._used = 0

    def close(self) -> None:
        self._undo.close()
        self._world, self._of, self._used = None, "", 0

    def result(self, case: Case) -> Result:
        result = Result.of(case, RUNNER)
        began = time.monotonic()
        try:
            self._try(case, self._ready(case), result)
        except Exception as exc:  # the next case still has to run, in a new cloud
            logging.getLogger(__name__).exception("%s", case.name)
            result.problems.append(f"the harness failed: {type(exc).__name__}: {exc}")
        if not result.is_good:
            self.close()
        result.seconds = round(time.monotonic() - began, 1)
        return result

    def _ready(self, case: Case) -> World:
        """Return a clean local cloud in which everything before the case's DAG has run."""
        if self._world is not None and self._of == case.world and self._used < CASES_OF_A_WORLD:
            self._used += 1
            return self._world
        self.close()
        folder = self._folder / f"world-{next(self._numbers)}"
        self._undo.callback(shutil.rmtree, folder, ignore_errors=True)
        made = self._undo.enter_context(world(folder, case.machines, case.settings))
        made.connect(case.settings.get("read_delay_s", 0.0))
        for dag_id in case.after:
            outcome = self._run(dag_id, conf_of(dag_id, made))
            if outcome.state != "success":
                raise RuntimeError(f"{dag_id} without any fault: {outcome.errors}")
            if dag_id == EXPORT:
                made.choose_lock(is_small=case.after == (EXPORT,))
        self._world, self._of, self._used = made, case.world, 1
        return made

    def _run(
        self,
        dag_id: str,
        conf: Mapping[str, Any],
        patience: Mapping[str, float] | None = None,
        before: Callable[[str], None] = lambda task_id: None,
        skips: Collection[str] = (),
    ) -> Outcome:
        return self._airflow.run(
            dag_id,
            f"chaos__{next(self._numbers)}",
            conf,
            within_s=RUN_WITHIN_S,
            patience=patience,
            before=before,
            skips=skips,
        )

    def _try(self, case: Case, place: World, result: Result) -> None:
        account = place.account
        before = account.scene()
        if case.dag == SWEEP:
            self._abandon(place, before)
        conf = conf_of(case.dag, place)
        place.disks = pool_disks(account)
        waiting = case.because_at or case.stage
        patience = None if case.patience_s is None else {waiting: case.patience_s}
        try:
            with Beside(account, case) as beside:
                outcome = self._run(case.dag, conf, patience, beside.before, case.skips)
                result.struck = beside.struck()
        finally:
            account.disarm_all()
        result.outcome = "green" if outcome.state == "success" else "red"
        result.tries = outcome.tries(case.stage)
        result.error = shown_error(case, outcome)
        self._judge(case, place, before, outcome, result)

    def _abandon(self, place: World, before: Scene) -> None:
        """Leave what a sweep has to take: a build that recorded nothing and took nothing away.

        :raises RuntimeError: when there is not one of each kind.
        """
        conf = {"target": TARGET, "lock_digest": place.lock_digest}
        run = self._run(BUILD, conf, skips=UNFINISHED)
        left = {line.split()[0] for line in leaked(before, place.account.scene(), place.kept())}
        if not left >= {"instance", "disk", "snapshot", "key_pair"}:
            raise RuntimeError(f"there is only {left} to sweep: {run.errors}")

    def _judge(
        self, case: Case, place: World, before: Scene, outcome: Outcome, result: Result
    ) -> None:
        after, run = self._settled(place, before), Run(case.dag, outcome.run_id)
        if result.outcome == "green":
            result.false_green = broken(place, run, after)
        else:
            result.problems += undone(place, run, outcome.red(), after)
        result.problems += unexpected(case, outcome, result)
        result.left_before_sweep = leaked(before, after, place.kept())
        result.problems += left_open(case, result)
        if SWEEP not in case.skips:
            sweep = self._run(SWEEP, SWEEP_NOW)
            if sweep.state != "success":
                result.problems.append(f"the sweep is {sweep.state}: {sweep.errors}")
        swept = self._settled(place, before)
        if SWEEP not in case.skips:
            result.problems += place.retention(swept)
        result.leaked = leaked(before, swept, place.kept())
        result.doubled = doubled(before, swept)
        result.foreign_touched = touched(place.first, swept, place.foreign)
        result.foreign_touched += altered(place.bodies, bodies(place.account, place.foreign))
        for dag_id in case.then:
            result.problems += self._proven(dag_id, place)

    def _proven(self, dag_id: str, place: World) -> list[str]:
        """Run a DAG without any fault on what the case made; return what is wrong with it."""
        outcome = self._run(dag_id, {"target": TARGET})
        if outcome.state != "success":
            return [f"{dag_id} of what it made is {outcome.state}: {outcome.errors[-3:]}"]
        return broken(place, Run(dag_id, outcome.run_id), place.account.scene())

    def _settled(self, place: World, before: Scene) -> Scene:
        """Return what is there once what was told to go has gone, or has had its time."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while True:
            scene = place.account.scene()
            going = [each for each in scene.resources.values() if each["state"] == "Releasing"]
            if not going or time.monotonic() > deadline:
                return scene
            time.sleep(0.05)


def conf_of(dag_id: str, place: World) -> Mapping[str, Any]:
    """Return the conf of a run, with every param that differs between two of a DAG."""
    if dag_id == SWEEP:
        return SWEEP_NOW
    conf = {"target": TARGET}
    return {**conf, "lock_digest": place.lock_digest} if dag_id == BUILD else conf


def asked() -> Iterator[Case]:
    for line in sys.stdin:
        yield Case.from_json(line)


def main() -> int:
    # Airflow prints; what the starter reads has a way of its own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and its local cloud ends
    worker = Worker(Path(sys.argv[1]))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    try:
        for case in asked():
            print(json.dumps(asdict(worker.result(case))), file=answers, flush=True)
    finally:
        worker.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
