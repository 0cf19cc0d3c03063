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
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from local.chaos import report
from local.chaos.cases import Case, Result, chosen
from local.chaos.catalogue import quick_cases
from local.chaos.catalogue_real import real_cases
from local.chaos.workers import WorkerProcess
from local.layout import HOME_VARIABLE, ROOT, Layout
from local.stack import choose_machines

MOST_OF_A_WORLD = 12  # cases that one worker takes at a time: they share a local cloud
NIGHTS_WITHIN_S = 1500.0
RUNNER = "airflow in one process"


class Lanes:
    """Workers and nights side by side, whose results come to one list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: list[Result] = []
        self.trouble: list[str] = []
        self._groups: queue.SimpleQueue[list[Case]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def add(self, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            sign = "ok " if result.is_good else "BAD"
            print(f"{sign} {result.seconds:6.1f} s  {result.outcome:5}  {result.case}", flush=True)
            for name in report.BAD:
                for line in getattr(result, name):
                    print(f"        {name}: {line}", flush=True)

    def run(self, cases: Iterable[Case], jobs: int, nights: Sequence[Sequence[str]]) -> None:
        """Run all cases on so many workers, and beside them the nights, one after another."""
        for group in grouped(cases):
            self._groups.put(group)
        threads = [
            threading.Thread(target=self._guarded, args=(self._work, number))
            for number in range(min(jobs, self._groups.qsize()))
        ]
        if nights:
            threads.append(threading.Thread(target=self._guarded, args=(self._nights, nights)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

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
                    if worker is None or not worker.is_alive:
                        worker = WorkerProcess(self.folder / f"worker-{number}").__enter__()
                    self.add(worker.run(case, RUNNER))
        finally:
            if worker is not None:
                worker.__exit__(None, None, None)

    def _nights(self, nights: Sequence[Sequence[str]]) -> None:
        for options in nights:
            home = self.folder / f"airflow-{options[1]}"
            shutil.rmtree(home, ignore_errors=True)
            log = self.folder / f"nights-{options[1]}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", "local.chaos.nights", *options],
                    cwd=ROOT,
                    env={**os.environ, HOME_VARIABLE: str(home)},
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                )
            self._read(process, log)

    def _read(self, process: subprocess.Popen[str], log: Path) -> None:
        deadline = time.monotonic() + NIGHTS_WITHIN_S
        if process.stdout is None:
            return
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                line = process.stdout.readline()
                if not line:
                    break
                self.add(Result(**json.loads(line)))
            else:
                process.terminate()
        if process.wait(120) != 0:
            self.trouble.append(f"nights ended with {process.returncode}; see {log}")


def grouped(cases: Iterable[Case]) -> list[list[Case]]:
    """Return the cases in groups that share a local cloud, none too large to balance."""
    found = []
    for _, same in groupby(cases, key=lambda case: case.world):
        listed = list(same)
        found += [
            listed[at : at + MOST_OF_A_WORLD] for at in range(0, len(listed), MOST_OF_A_WORLD)
        ]
    return found


def catalogue(machines: str) -> list[Case]:
    """Return all cases that can run here; the long ones first."""
    return [*(real_cases() if machines == "real" else []), *quick_cases()]


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
    is_whole = not (options.only or options.sample)
    nights = [] if options.no_nights or not is_whole else nights_of(machines.kind)
    return judged(layout, cases, nights, options, is_whole=is_whole)


def nights_of(machines: str) -> list[list[str]]:
    """Return the arguments of each ``local.chaos.nights``."""
    found = [["--machines", "paper"]]
    if machines == "real":
        found.append(["--machines", "real", "--plan", "real", "--set", "content_scale=0.02"])
    return found


def judged(
    layout: Layout,
    cases: Sequence[Case],
    nights: Sequence[Sequence[str]],
    options: argparse.Namespace,
    *,
    is_whole: bool,
) -> int:
    """Run the cases and write the report; return the exit code."""
    folder = layout.home / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    lanes = Lanes(folder)
    lanes.run(cases, options.jobs, nights)
    seconds = time.monotonic() - began
    content = report.report(lanes.results, seed=options.seed, seconds=seconds, waits=None)
    report.write_json(folder / "report.json", content)
    if is_whole:
        report.write_page(content)
    bad = report.failures(lanes.results)
    print(f"\n{json.dumps(content['totals'], indent=1)}\nReport: {folder / 'report.json'}")
    for line in lanes.trouble:
        print(f"The harness failed: {line}")
    return 1 if bad or lanes.trouble else 0


if __name__ == "__main__":
    raise SystemExit(main())
