"""``make bench-emulator``: how many nodes and calls the local cloud bears, with a verdict.

Exit codes: 0 all calls were right and the rate was held, 1 not, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from local.bench import figures
from local.bench.building import BuildError, Built, build
from local.bench.mix import Target

OUT = Path(".local/bench/emulator.json")
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2
WIDTH = 110  # of the table, also where there is no terminal


class BenchError(Exception):
    """The benchmark could not be run to its end."""


@dataclass(slots=True)
class Use:
    """What a process took while it was watched."""

    cpu_s: float = 0.0
    seconds: float = 0.0
    max_rss_mib: float = 0.0

    def described(self) -> dict[str, float]:
        share = self.cpu_s / self.seconds if self.seconds else 0.0
        return {"cpu_share": share, "max_rss_mib": self.max_rss_mib}


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Use]:
    """Watch a process; what it took is known when the context is left."""
    process, use, ended = psutil.Process(pid), Use(), threading.Event()

    def look() -> None:
        while True:
            use.max_rss_mib = max(use.max_rss_mib, process.memory_info().rss / 2**20)
            if ended.wait(LOOK_EVERY_S):
                return

    watcher = threading.Thread(target=look)
    before, begin = process.cpu_times(), time.monotonic()
    watcher.start()
    try:
        yield use
    finally:
        ended.set()
        watcher.join()
        after = process.cpu_times()
        use.cpu_s = after.user + after.system - before.user - before.system
        use.seconds = time.monotonic() - begin


@contextlib.contextmanager
def emulator(options: argparse.Namespace, state: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run a local cloud on paper machines; yield its process id and its ready line."""
    settings = {
        "max_node_pools": options.pools,
        "max_nodes": options.pools * options.nodes,
        **dict.fromkeys(("instance_boot_s", "kubelet_registration_s", "task_step_s"), 0),
        **dict.fromkeys(("paper_kubelet_package_s", "paper_image_s"), 0),
    }
    command = [sys.executable, "-m", "emulator", "--seed", "empty", "--state", str(state)]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    with (state / "emulator.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None  # noqa: S101  # a pipe was asked for
    too_late = threading.Timer(READY_WITHIN_S, process.kill)
    too_late.start()
    try:
        line = process.stdout.readline()
        too_late.cancel()
        if not line:
            raise BenchError(f"no local cloud: {(state / 'emulator.log').read_text()[-2000:]}")
        yield process.pid, json.loads(line)
    finally:
        too_late.cancel()
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def load(facts: Mapping[str, Any], built: Built, nodes: int, **plan: Any) -> dict[str, Any]:
    """Run one load process to its end."""
    target = Target(facts, built.pools, built.tasks, built.instances, nodes)
    described = {k: v for k, v in asdict(target).items() if k != "random"}
    with subprocess.Popen(
        [sys.executable, "-m", "local.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(json.dumps({"target": described, **plan}))
    if process.returncode:
        raise BenchError(f"the load process ended with {process.returncode}; see above")
    result: dict[str, Any] = json.loads(out)
    return result


def measure(options: argparse.Namespace, state: Path) -> dict[str, Any]:
    with emulator(options, state) as (pid, facts):
        with watched(pid) as building:
            built = build(facts, options.pools, options.nodes, options.ready_within)
        with watched(pid) as idle:
            time.sleep(options.idle)
        common = {"new_connections": options.new_connections, "workers": options.workers}
        with watched(pid) as steady:
            open_loop = load(
                facts, built, options.nodes, rate=options.rate, seconds=options.seconds, **common
            )
        with watched(pid) as full:
            closed = load(facts, built, options.nodes, rate=0, seconds=options.full, **common)
    return {
        "pools": options.pools,
        "nodes": options.pools * options.nodes,
        "host": {"cpus": os.cpu_count(), "load_before": options.load_before},
        "new_connections": options.new_connections,
        "build": {"ready_s": built.seconds, **building.described()},
        "idle": {"seconds": options.idle, **idle.described()},
        "rate": {"asked": options.rate, **figures.summary(open_loop), **steady.described()},
        "throughput": {"workers": options.workers, **figures.summary(closed), **full.described()},
    }


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-emulator", description=__doc__)
    parser.add_argument("--pools", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=10, help="in each pool")
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of calls at that rate")
    parser.add_argument("--full", type=float, default=10.0, help="seconds at full throughput")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds without calls")
    parser.add_argument("--workers", type=int, default=8, help="calls at once, at full throughput")
    parser.add_argument("--new-connections", action="store_true", help="one for each call")
    parser.add_argument("--ready-within", type=float, default=600.0, help="seconds")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    if min(options.pools, options.nodes, options.workers) < 1 or options.rate <= 0:
        parser.error("--pools, --nodes, --workers and --rate must be above 0")
    options.load_before = os.getloadavg()[0]
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    console = Console(width=WIDTH)
    console.print(f"{options.pools * options.nodes} nodes in {options.pools} pools, then calls ...")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            result = measure(options, Path(folder))
    except (BenchError, BuildError) as exc:
        console.print(f"no figures: {exc}", style="red", markup=False)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    console.print(figures.table(result))
    problems = figures.problems(result)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    console.print(f"written to {options.out}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
