"""Start and stop the local cloud with Airflow from another program, and say what it is doing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.airflow_home import environment
from local.layout import ROOT, Layout
from local.processes import as_root, find, is_root, marked, stop_all, sudo_works
from local.reap import reap
from local.rest import AirflowApi
from local.secret_files import USER, load_secrets
from local.supervisor import last_lines, stop_recorded

START_WITHIN_S = 1200
STOP_WITHIN_S = 180
CHECK_WITHIN_S = 30


class StackError(Exception):
    """The local run did not start, or did not stop."""


@dataclass(frozen=True, slots=True)
class Machines:
    kind: str  # real or paper
    reason: str  # why paper; empty for real


def choose_machines(layout: Layout, wanted: str = "auto") -> Machines:
    """Return real machines where they can be had, else paper ones and the reason in one line.

    :raises StackError: when real ones were asked for and cannot be had.
    """
    if wanted == "paper":
        return Machines("paper", "paper machines were asked for: all figures are simulated")
    missing = _missing_for_real(layout)
    if not missing:
        return Machines("real", "")
    if wanted == "real":
        raise StackError(f"real machines cannot be had here: {missing}")
    return Machines("paper", f"{missing}: running on paper machines, all figures are simulated")


def _missing_for_real(layout: Layout) -> str:
    if sys.platform != "linux":
        return f"{sys.platform} is not Linux"
    if not is_root() and not sudo_works():
        return "not root and no sudo without a password"
    # The local cloud knows best what its machines need of a host.
    variables = environment(layout, token="")
    command = [sys.executable, "-m", "emulator.machines.real.preflight"]
    checked = subprocess.run(
        as_root(command, variables),
        env=variables,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_WITHIN_S,
    )
    if checked.returncode == 0:
        return ""
    found = checked.stdout.strip() or checked.stderr.strip().splitlines()[-1]
    return found.replace("\n", "; ")


class Stack:
    """A running supervisor, seen from outside."""

    def __init__(self, layout: Layout, process: subprocess.Popen[bytes] | None = None) -> None:
        self.layout = layout
        self._process = process

    @property
    def state(self) -> dict[str, Any]:
        return read_state(self.layout)

    @property
    def facts(self) -> dict[str, Any]:
        """What the local cloud said when it was ready."""
        facts: dict[str, Any] = json.loads(self.layout.cloud.read_text())
        return facts

    def api(self) -> AirflowApi:
        return AirflowApi(self.state["ui"], USER, load_secrets(self.layout).password)

    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_running(self.state)

    def wait_ready(self, say: Callable[[str], None]) -> None:
        """Wait until everything runs; ``say`` gets each new step.

        :raises StackError: with the end of the log of what failed.
        """
        deadline = time.monotonic() + START_WITHIN_S
        last = ""
        while (state := self.state).get("phase") != "ready":
            if not self.alive():
                raise StackError(self.failure())
            if time.monotonic() > deadline:
                raise StackError(f"not ready after {START_WITHIN_S} s; see {self.layout.logs}")
            if (step := state.get("step") or "") != last:
                say(step)
                last = step
            time.sleep(0.2)

    def failure(self) -> str:
        """Say why the supervisor ended."""
        log = self.layout.logs / "supervisor.log"
        return self.state.get("error") or f"the supervisor ended; {log}:\n{last_lines(log)}"

    def stop(self) -> None:
        """Stop everything, in order, and take away what a killed part left.

        :raises StackError: when something is still there afterwards.
        """
        stop_local(self.layout)
        if self._process is not None:
            self._process.wait(timeout=10)


def start_stack(
    layout: Layout,
    machines: str,
    *,
    samples: int,
    stay: bool,
    settings: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Stack:
    """Start the supervisor; without ``stay`` it ends when the calling program does.

    :param settings: ``NAME=VALUE`` each, of the local cloud.
    :param options: further ones of ``python -m local.serve``.
    :raises StackError: when one is running already.
    """
    layout.make()
    if is_running(read_state(layout)):
        raise StackError("already running; stop it with: make down")
    stop_local(layout)  # what a killed one left
    layout.state.unlink(missing_ok=True)
    command = [sys.executable, "-m", "local.serve", "--machines", machines]
    command += ["--samples", str(samples)]
    command += [word for assignment in settings for word in ("--set", assignment)]
    command += options
    log = (layout.logs / "supervisor.log").open("wb")
    with log:
        process = subprocess.Popen(
            command if stay else [*command, "--with-stdin"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL if stay else subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C of the terminal is for the caller alone
        )
    return Stack(layout, process)


def stop_local(layout: Layout) -> list[str]:
    """Stop a running supervisor, or clean up after a killed one; say what was cleaned up.

    :raises StackError: when the supervisor does not end.
    """
    state = read_state(layout)
    if not state:
        return []
    if supervisor := find(state["pid"], state["started"]):
        killed = stop_all([supervisor], within_s=STOP_WITHIN_S)
        if killed:
            stop_recorded(state)
            reap(layout)
            raise StackError(f"the supervisor did not end within {STOP_WITHIN_S} s and was killed")
    left = [f"process {process.pid}" for process in marked(state["token"])]
    stop_recorded(state)
    if not state.get("reaped"):
        left += reap(layout)
    layout.state.unlink(missing_ok=True)
    layout.cloud.unlink(missing_ok=True)
    return left


def read_state(layout: Layout) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(layout.state.read_text())
    except FileNotFoundError:
        return {}
    return state


def is_running(state: dict[str, Any]) -> bool:
    return bool(state) and find(state["pid"], state["started"]) is not None


def running_stack(layout: Layout) -> Stack | None:
    """Return the stack that ``make up`` left running, if any."""
    state = read_state(layout)
    return Stack(layout) if is_running(state) and state["phase"] == "ready" else None
