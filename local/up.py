"""``make up``: keep the local cloud and Airflow running, and say where they are."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.markup import escape

from local.demo import SET_HELP, login, refuse_settings
from local.layout import Layout
from local.reap import ReapError
from local.stack import StackError, choose_machines, running_stack, start_stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.up", description=__doc__)
    parser.add_argument("--machines", choices=["auto", "paper", "real"], default="auto")
    parser.add_argument("--samples", type=int, default=3, help="nodes measured in each arm")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=SET_HELP)
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    layout = Layout.default()
    try:
        stack = running_stack(layout)
        refuse_settings(stack, options.set)
        if stack is None:
            chosen = choose_machines(layout, options.machines)
            if chosen.reason:
                console.print(f"{chosen.reason}.")
            stack = start_stack(
                layout, chosen.kind, samples=options.samples, stay=True, settings=options.set
            )
            stack.wait_ready(lambda step: console.print(f"[dim]{step}[/]") if step else None)
    except (StackError, ReapError) as error:
        console.print(f"[bold red]Failed:[/] {escape(str(error))}")
        return 1
    console.print(login(layout, stack))
    console.print(
        "Run the chain with: make demo (or trigger nightly_preload). Stop with: make down"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
