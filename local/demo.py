"""``make demo``: the whole chain on a local cloud, followed live, and what it gained.

Ends with 0 only when every task was green and the report shows what it must. Everything that it
started is stopped at its end, however it ends; what ``make up`` started keeps running.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ack_preload.store import Store
from local import task_logs
from local.chain import NIGHTLY, Chain, read_chain
from local.cloud_files import TARGET
from local.cost import cost_of
from local.layout import Layout, write_private
from local.leftovers import cloud_meter, cloud_settings, leftovers
from local.progress import Progress
from local.reap import ReapError
from local.report import History, ReportError, build_report, problems
from local.rest import AirflowApi, ApiError
from local.results import show_results
from local.secret_files import USER, load_secrets
from local.stack import Stack, StackError, choose_machines, running_stack, start_stack

CHAIN_WITHIN_S = 2400
POLL_EVERY_S = 1.0
SET_HELP = "a setting of the local cloud; may be given again"


class DemoError(Exception):
    """The demo cannot say that the chain works; the message says why."""


def run_demo(
    console: Console, layout: Layout, *, machines: str, samples: int, settings: Sequence[str] = ()
) -> dict[str, Any]:
    """Run the chain and return its report.

    :param settings: ``NAME=VALUE`` each, of the local cloud.
    :raises DemoError: when a task failed, time ran out, or the report shows a problem.
    """
    stack = running_stack(layout)
    refuse_settings(stack, settings)
    if stack is not None:
        console.print("Using what make up started; make down stops it.")
        return follow(console, layout, stack)
    chosen = choose_machines(layout, machines)
    if chosen.reason:
        console.print(f"[yellow]{chosen.reason[0].upper()}{chosen.reason[1:]}.[/]")
    stack = start_stack(layout, chosen.kind, samples=samples, stay=False, settings=settings)
    try:
        began = time.monotonic()
        stack.wait_ready(lambda step: console.print(f"[dim]{step}[/]") if step else None)
        console.print(f"[dim]ready after {time.monotonic() - began:.0f} s[/]")
        return follow(console, layout, stack)
    finally:
        console.print("[dim]stopping[/]")
        stack.stop()


def refuse_settings(stack: Stack | None, settings: Sequence[str]) -> None:
    """Let no setting be lost.

    :raises StackError: when there are some for a local cloud that runs already.
    """
    if stack is not None and settings:
        raise StackError(
            f"--set {settings[0]}: the local cloud runs already, with the settings that make up "
            "gave it; stop it first: make down"
        )


def follow(console: Console, layout: Layout, stack: Stack) -> dict[str, Any]:
    """Trigger the nightly run, show it until it ends, and write the report."""
    api = stack.api()
    try:
        run_id = api.trigger(NIGHTLY, {"target": TARGET})
        console.print(f"{login(layout, stack)}\n")
        chain = _watch(console, layout, stack, api, run_id)
    finally:
        api.close()
    if chain.state != "success":
        raise DemoError(failure(layout, chain))
    report = _report(layout, stack, chain)
    write_private(layout.report, json.dumps(report, indent=2) + "\n")
    show_results(console, report)
    console.print(f"\nReport: {_short(layout.report)}")
    if found := problems(report):
        raise DemoError("the chain was green, but " + "; ".join(found))
    return report


def login(layout: Layout, stack: Stack) -> str:
    """Say where Airflow's pages are and how to get in."""
    password = load_secrets(layout).password
    return (
        f"Airflow: [bold]{stack.state['ui']}[/]  user [bold]{USER}[/]  password [bold]{password}[/]"
    )


def failure(layout: Layout, chain: Chain) -> str:
    """Name the task that failed first, its error, and where its log is."""
    failed = chain.failed
    if not failed:
        return f"run {chain.run_id} of {NIGHTLY} is {chain.state}, but no task of it failed"
    task = failed[0]
    name = f"{task.dag_id}.{task.task_id}"
    return (
        f"task {name} of run {task.run_id} failed: {task_logs.error(layout.airflow, task)}\n"
        f"its log: {task_logs.log_folder(layout.airflow, task)}"
    )


def _watch(console: Console, layout: Layout, stack: Stack, api: AirflowApi, run_id: str) -> Chain:
    progress = Progress(console, layout.airflow)
    deadline = time.monotonic() + CHAIN_WITHIN_S
    with progress.shown():
        while True:
            if not stack.alive():
                raise DemoError(stack.failure())
            chain = read_chain(api, run_id)
            progress.show(chain)
            if chain.is_over:
                return chain
            if time.monotonic() > deadline:
                raise DemoError(
                    f"run {run_id} did not end within {CHAIN_WITHIN_S} s; {_doing(chain)}"
                )
            time.sleep(POLL_EVERY_S)


def _doing(chain: Chain) -> str:
    busy = [stage.current for stage in chain.stages if stage.current]
    names = ", ".join(f"{task.dag_id}.{task.task_id} is {task.state}" for task in busy if task)
    return names or "no task is running"


def _report(layout: Layout, stack: Stack, chain: Chain) -> dict[str, Any]:
    store = Store(f"sqlite:///{layout.airflow / 'ack_preload.db'}")
    try:
        history = History.read(store, TARGET, chain.run_id)
    except ReportError as error:
        raise DemoError(str(error)) from error
    facts = stack.facts
    limits = {}
    if facts["machines"] == "real":
        limits = {"link_mb_per_s": cloud_settings(facts["control_url"])["link_mb_per_s"]}
    meter = cloud_meter(facts["control_url"])
    return build_report(
        history,
        chain,
        target=TARGET,
        machines=facts["machines"],
        settings=facts["simulated"] | limits,
        left=leftovers(meter["alive"], history.kept),
        cost=cost_of(meter, chain),
    )


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--machines", choices=["auto", "paper", "real"], default="auto")
    parser.add_argument("--samples", type=int, default=2, help="nodes measured in each arm")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=SET_HELP)
    options = parser.parse_args()
    # `make` and CI end a run with SIGTERM: stop what was started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupted)
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    layout = Layout.default()
    try:
        run_demo(
            console,
            layout,
            machines=options.machines,
            samples=options.samples,
            settings=options.set,
        )
    except (DemoError, StackError, ReapError, ApiError) as error:
        console.print(f"\n[bold red]Failed:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; what was started is stopped.")
        return 130
    stack = running_stack(layout)
    where = login(layout, stack) if stack else "Look around in Airflow with: make up"
    console.print(f"\n[bold green]Green.[/] {where}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
