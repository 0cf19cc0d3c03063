"""``make chaos``: run the cases, several at a time, and write what came of them.

Exit code 1: something leaked, doubled, was green for nothing, touched what is foreign, or did not
end as it has to.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from local.chaos import report
from local.chaos.cases import Case, Result, chosen
from local.chaos.catalogue import quick_cases
from local.chaos.catalogue_real import real_cases
from local.chaos.workers import WorkerProcess, reap_worlds
from local.layout import HOME_VARIABLE, ROOT, Layout
from local.reap import ReapError
from local.stack import choose_machines

MOST_OF_A_WORLD = 12  # cases that one worker takes at a time: they share a local cloud
AIRFLOW_WITHIN_S = 1500.0
ENDS_WITHIN_S = 60.0
RUNNER = "airflow in one process"


@dataclass(frozen=True, slots=True)
class Program:
    """One that starts an Airflow of its own and says on standard output what came of it."""

    name: str  # of its folder and its log
    command: tuple[str, ...]
    gives_cases: bool = True  # a JSON line each; else one JSON object


class Lanes:
    """Workers and programs side by side, whose results come to one list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: list[Result] = []
        self.trouble: list[str] = []
        self.waits: dict[str, Any] | None = None
        self._groups: queue.SimpleQueue[list[Case]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._started: list[subprocess.Popen[str]] = []

    def add(self, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            sign = "ok " if result.is_good else "BAD"
            print(f"{sign} {result.seconds:6.1f} s  {result.outcome:5}  {result.case}", flush=True)
            for name in report.BAD:
                for line in getattr(result, name):
                    print(f"        {name}: {line}", flush=True)

    def run(self, cases: Iterable[Case], jobs: int, programs: Sequence[Sequence[Program]]) -> None:
        """Run all cases on so many workers, and beside them each row of programs.

        Cases that mostly wait have workers of their own: they take minutes, and no core.
        """
        groups = grouped(cases)
        for group in sorted(groups, key=lambda group: not group[0].happens):
            self._groups.put(group)
        waiting = sum(bool(group[0].happens) for group in groups)
        threads = [
            threading.Thread(target=self._guarded, args=(self._work, number), daemon=True)
            for number in range(min(jobs + waiting, len(groups)))
        ]
        for row in programs:
            threads.append(
                threading.Thread(target=self._guarded, args=(self._airflows, row), daemon=True)
            )
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            self.stop()

    def stop(self) -> None:
        """End what still runs; each ends what it started itself."""
        self._stopping.set()
        running = [each for each in self._started if each.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + ENDS_WITHIN_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except (
                subprocess.TimeoutExpired
            ):  # in a task, where Airflow takes the signal for its own
                process.kill()
                process.wait()  # a local cloud that is still dying is not taken away
        for folder in self.folder.glob("worker-*/"):
            try:
                reap_worlds(folder)
            except ReapError as exc:
                self.trouble.append(str(exc))

    def _guarded(self, lane: object, argument: object) -> None:
        try:
            lane(argument)  # type: ignore[operator]  # one of the two methods below
        except Exception as exc:
            self.trouble.append(f"{type(exc).__name__}: {exc}")

    def _work(self, number: int) -> None:
        worker: WorkerProcess | None = None
        try:
            while True:
                try:
                    group = self._groups.get_nowait()
                except queue.Empty:
                    return
                for case in group:
                    if self._stopping.is_set():
                        return
                    if worker is None or not worker.is_alive:
                        worker = WorkerProcess(self.folder / f"worker-{number}").__enter__()
                        self._started.append(worker.process)
                    self.add(worker.run(case, RUNNER))
        finally:
            if worker is not None:
                worker.__exit__(None, None, None)

    def _airflows(self, programs: Sequence[Program]) -> None:
        for program in programs:
            if self._stopping.is_set():
                return
            home = self.folder / program.name
            shutil.rmtree(home, ignore_errors=True)
            log = self.folder / f"{program.name}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", *program.command],
                    cwd=ROOT,
                    env={**os.environ, HOME_VARIABLE: str(home)},
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                )
            self._started.append(process)
            self._read(process, program, log)

    def _read(self, process: subprocess.Popen[str], program: Program, log: Path) -> None:
        if process.stdout is None:
            return
        limit = threading.Timer(AIRFLOW_WITHIN_S, process.terminate)
        limit.start()
        text = ""
        with process.stdout:
            for line in process.stdout:
                if program.gives_cases:
                    self.add(Result(**json.loads(line)))
                text += line
        limit.cancel()
        if process.wait(ENDS_WITHIN_S) != 0:
            self.trouble.append(f"{program.name} ended with {process.returncode}; see {log}")
        if not program.gives_cases and text:
            self.waits = json.loads(text)


def grouped(cases: Iterable[Case]) -> list[list[Case]]:
    """Return the cases in groups that share a local cloud, none too large to balance."""
    found = []
    for _, same in groupby(cases, key=lambda case: (case.world, case.happens)):
        listed = list(same)
        found += [
            listed[at : at + MOST_OF_A_WORLD] for at in range(0, len(listed), MOST_OF_A_WORLD)
        ]
    return found


def catalogue(machines: str) -> list[Case]:
    """Return all cases that can run here; those that take long first, of whatever machines."""
    every = [*quick_cases(), *(real_cases() if machines == "real" else [])]
    return sorted(every, key=lambda case: (not case.happens, case.machines == "paper"))


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Return some cases of one local cloud, the same for the same seed."""
    picked = random.Random(seed).sample(list(cases), count)  # noqa: S311  # no secret
    return sorted(picked, key=lambda case: case.world)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.chaos", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="part of a name, or #N")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample, and of the order")
    parser.add_argument("--jobs", type=int, default=2, help="workers beside the nights")
    parser.add_argument("--machines", choices=["auto", "paper", "real"], default="auto")
    parser.add_argument("--no-nights", action="store_true", help="kill no parts of Airflow")
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    options = parser.parse_args(arguments)
    layout = Layout.default()
    layout.make()
    machines = choose_machines(layout, options.machines)
    if machines.reason:
        print(f"{machines.reason[0].upper()}{machines.reason[1:]}.")
    cases = catalogue(machines.kind)
    for only in options.only:
        cases = chosen(cases, only)
    if options.sample:
        cases = sample(cases, options.sample, options.seed)
    if options.list:
        for number, case in enumerate(cases):
            print(f"#{number} {case.name}: {case.outcome}")
        return 0
    is_part = options.only or options.sample or options.no_nights
    programs = [] if is_part else programs_of(machines.kind)
    is_whole = not is_part and machines.kind == "real"
    return judged(layout, cases, programs, options, is_whole=is_whole)


def programs_of(machines: str) -> list[list[Program]]:
    """Return what needs a whole Airflow, nights with kills and many waits at once, in two rows."""

    def nights(plan: str, kind: str, *more: str) -> Program:
        command = ("local.chaos.nights", "--machines", kind, "--plan", plan, *more)
        return Program(f"nights-{plan}", command)

    first, second = [nights("tasks", "paper")], [nights("scheduler", "paper")]
    if machines == "real":
        first.append(nights("real", "real", "--set", "content_scale=0.02"))
    # Beside all the rest, a triggerer needs long to load hundreds of waits: see the page.
    waits = ("local.chaos.waits", "--intervals", "3")
    second.append(Program("waits", waits, gives_cases=False))
    return [first, second]


def judged(
    layout: Layout,
    cases: Sequence[Case],
    programs: Sequence[Sequence[Program]],
    options: argparse.Namespace,
    *,
    is_whole: bool,
) -> int:
    """Run the cases and write the report; return the exit code."""
    folder = layout.home / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    lanes = Lanes(folder)
    signal.signal(signal.SIGTERM, _interrupted)  # as after Ctrl-C: what was started is stopped
    try:
        lanes.run(cases, options.jobs, programs)
    except KeyboardInterrupt:
        print("\nInterrupted; what was started is stopped.", *lanes.trouble, sep="\n")
        return 130
    seconds = time.monotonic() - began
    for result in report.missing(cases, lanes.results, RUNNER):
        lanes.add(result)
    trouble = [*lanes.trouble, *(report.too_little(lanes.results, seconds) if is_whole else [])]
    content = report.report(
        lanes.results,
        options=vars(options),
        seconds=seconds,
        waits=lanes.waits,
        planned=cases,
        trouble=trouble,
    )
    # What is not whole is no record: it takes the place of none.
    path = folder / ("report.json" if is_whole else "report-part.json")
    report.write_json(path, content)
    if is_whole:
        report.write_page(content)
    print(f"\n{json.dumps(content['totals'], indent=1)}\nReport: {path}")
    for line in trouble:
        print(f"The harness failed: {line}")
    return 1 if report.failures(lanes.results) or trouble else 0


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
