"""The run as a terminal shows it: a live table, or a line for each change where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local import task_logs
from local.chain import STAGES, Chain, Stage

_SIGNS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "running": "[cyan]▸[/]"}
REMIND_EVERY_S = 15  # without a terminal: a line at least this often


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def mib(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB"


def activity(airflow_home: Path, stage: Stage) -> str:
    """Say what a stage does now: its task, and how far a pull is."""
    task = stage.current
    if task is None:
        return ""
    name = task.task_id.replace(".", " > ").replace("_", " ")
    if task.map_index >= 0:
        name += f" {task.map_index + 1}"
    far = task_logs.progress(airflow_home, task)
    if far is None:
        return name
    done, of, size = far
    return f"{name}: {done} of {of} images, {mib(size)}"


class Progress:
    """Shows one chain after another state of it."""

    def __init__(self, console: Console, airflow_home: Path) -> None:
        self.console = console
        self.airflow_home = airflow_home
        self._live: Live | None = None
        self._said: dict[str, str] = {}
        self._spoke = time.monotonic()
        self._began = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4, transient=False) as live:
            self._live = live
            yield
        self._live = None

    def show(self, chain: Chain) -> None:
        if self._live:
            self._live.update(self.table(chain))
        else:
            self._lines(chain)

    def table(self, chain: Chain) -> Table:
        """Return one row a stage: sign, name, time, what it does now."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        stages = {stage.dag_id: stage for stage in chain.stages}
        for dag_id, title in STAGES.items():
            stage = stages.get(dag_id)
            if stage is None:
                table.add_row("[dim]·[/]", f"[dim]{title}[/]", "", "")
                continue
            table.add_row(
                _SIGNS.get(stage.state, "[cyan]▸[/]"),
                title,
                clock(stage.seconds),
                activity(self.airflow_home, stage),
            )
        return table

    def _lines(self, chain: Chain) -> None:
        if not chain.stages and time.monotonic() - self._spoke > REMIND_EVERY_S:
            self._say(f"nightly_preload: {chain.state}")  # such as queued behind another run
        for stage in chain.stages:
            doing = activity(self.airflow_home, stage)
            if not doing and stage.state in ("queued", "running"):
                continue  # between two tasks
            text = f"{stage.dag_id}: {doing or stage.state}"
            # A pull says something new every second: its figures alone are no change.
            key = text.split(":")[1] if stage.state == "running" else stage.state
            changed = self._said.get(stage.dag_id) != key
            overdue = stage.state == "running" and time.monotonic() - self._spoke > REMIND_EVERY_S
            if changed or overdue:
                self._said[stage.dag_id] = key
                self._say(text)

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        since = clock(self._spoke - self._began)
        self.console.print(f"{since}  {text}", highlight=False, markup=False)
