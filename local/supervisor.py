"""Starts processes, notices when one ends, and stops every process that came of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from local.layout import Layout, write_private
from local.processes import find, marked, send, stop_all

CLOUD = "cloud"  # the component that other components use, stopped after them
LAST_LINES = 15
PATIENCE_S = 10.0  # for a component to end
CLOUD_PATIENCE_S = 60.0  # it takes its machines down in order


class ComponentError(Exception):
    """A component ended by itself, or never got ready; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    argv: Sequence[str]
    environment: dict[str, str] = field(repr=False)
    reads_stdout: bool = False  # its stdout is read by its starter and not written to its log
    umask: int = 0o022
    restarts: bool = False  # started again when it ends by itself, as systemd or compose would


def last_lines(path: Path, count: int = LAST_LINES) -> str:
    """Return the end of a log, for an error message."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(f"  | {line}" for line in lines[-count:]) or "(the log is empty)"


class Supervisor:
    """A context in which components run; leaving it, however, stops all of them.

    ``state.json`` says at each moment what runs, so that :func:`clean_up` can do the same after
    the supervisor itself was killed.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.token = secrets.token_hex(8)
        self.stopping = asyncio.Event()  # set by a signal; ends the supervisor in order
        self.killed: list[str] = []  # components that did not end when asked to
        self._watches: dict[str, asyncio.Task[int]] = {}
        self._kept: dict[str, Component] = {}  # those that are started again
        self._state: dict[str, Any] = {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "token": self.token,
            "phase": "starting",
            "components": [],
        }

    async def __aenter__(self) -> Self:
        self.note()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.note(phase="stopping")
        for watch in self._watches.values():
            watch.cancel()
        self.killed = await asyncio.to_thread(stop_recorded, self._state)
        self.note(phase="failed" if error else "stopped", error=str(error) if error else None)

    def note(self, **changes: Any) -> None:
        """Write what is known to ``state.json``."""
        self._state.update(changes)
        write_private(self.layout.state, json.dumps(self._state, indent=1) + "\n")

    def log_of(self, name: str) -> Path:
        return self.layout.logs / f"{name}.log"

    async def start(self, component: Component) -> Process:
        """Start a component in its own session, its output in ``logs/NAME.log``."""
        mode = "ab" if component.name in self._kept else "wb"
        with self.log_of(component.name).open(mode) as log:
            process = await asyncio.create_subprocess_exec(
                *component.argv,
                env=component.environment,
                cwd=self.layout.home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if component.reads_stdout else log,
                stderr=log,
                start_new_session=True,
                umask=component.umask,
            )
        self._watches[component.name] = asyncio.create_task(process.wait(), name=component.name)
        started = psutil.Process(process.pid).create_time()
        self._state["components"].append(
            {"name": component.name, "pid": process.pid, "started": started}
        )
        if component.restarts:
            self._kept[component.name] = component
        self.note()
        return process

    async def run(self, component: Component, *, within_s: float) -> None:
        """Run a component that ends by itself.

        :raises ComponentError: when it fails or takes longer.
        """
        process = await self.start(component)
        watch = self._watches.pop(component.name)
        try:
            code = await asyncio.wait_for(watch, within_s)
        except TimeoutError:
            raise ComponentError(
                f"{component.name} did not end within {within_s:.0f} s; the end of "
                f"{self.log_of(component.name)}:\n{last_lines(self.log_of(component.name))}"
            ) from None
        self._state["components"] = [
            known for known in self._state["components"] if known["pid"] != process.pid
        ]
        if code != 0:
            raise ComponentError(self._ended(component.name, code))

    async def until_stopped(self) -> None:
        """Return when told to stop.

        :raises ComponentError: when a component that is not to be started again ends first.
        """
        stop = asyncio.create_task(self.stopping.wait())
        try:
            while not self.stopping.is_set():
                await asyncio.wait([stop, *self._watches.values()], return_when="FIRST_COMPLETED")
                self.check()
                await self._start_again()
        finally:
            stop.cancel()

    async def _start_again(self) -> None:
        """Start those again that may end; what a killed one left goes first, as with a cgroup."""
        ended = [name for name in self._kept if self._watches[name].done()]
        for name in () if self.stopping.is_set() else ended:
            known = next(c for c in self._state["components"] if c["name"] == name)
            await asyncio.to_thread(end_session, known["pid"], self.token)
            self._state["components"].remove(known)
            await self.start(self._kept[name])

    def check(self) -> None:
        """Raise when a component has ended; in between the steps of a start.

        :raises ComponentError: naming it, with the end of its log.
        """
        if self.stopping.is_set():
            return
        for name, watch in self._watches.items():
            if watch.done() and not watch.cancelled() and name not in self._kept:
                raise ComponentError(self._ended(name, watch.result()))

    def _ended(self, name: str, code: int) -> str:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{name} {how}; the end of {self.log_of(name)}:\n{last_lines(self.log_of(name))}"


def end_session(leader: int, token: str) -> None:
    """Kill what is left of the session of a component that ended."""
    for process in marked(token):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                send(process, signal.SIGKILL)


def stop_recorded(state: dict[str, Any]) -> list[str]:
    """Stop all that a state records and whatever came of it; name what had to be killed.

    Also for the state of a supervisor that was itself killed.
    """
    killed = []
    # The local cloud comes last: Airflow lets go of the machines before they are taken away.
    for last in (False, True):
        components = [each for each in state["components"] if (each["name"] == CLOUD) == last]
        found = {each["name"]: find(each["pid"], each["started"]) for each in components}
        living = {process: name for name, process in found.items() if process}
        killed += [
            living[each]
            for each in stop_all(living, within_s=CLOUD_PATIENCE_S if last else PATIENCE_S)
        ]
    stop_all(marked(state["token"]), within_s=5)
    return killed
