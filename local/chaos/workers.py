"""The processes that run cases, seen from outside: started, asked, and ended when they hang."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.airflow_home import environment
from local.chaos.cases import Case, Result
from local.layout import ROOT, Layout
from local.reap import ReapError, reap_state
from local.supervisor import last_lines

STARTS_WITHIN_S = 180.0
CASE_WITHIN_S = 660.0  # with what has to run before it, and with tries that wait in vain
ENDS_WITHIN_S = 60.0


class WorkerError(Exception):
    """A worker did not start, or gave no answer in time."""


class WorkerProcess:
    """One worker. A context; leaving it ends the process and whatever came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        clear(self.folder)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.chaos.worker", str(self.folder)],
                cwd=ROOT,
                env=airflow_environment(self.folder / "airflow"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._answer(STARTS_WITHIN_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()  # it ends when there is nothing more to do
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._kill(process)
        if process.stdout is not None:
            process.stdout.close()

    def run(self, case: Case, runner: str) -> Result:
        """Run a case and return what came of it.

        :raises WorkerError: when it gives no answer; the worker is of no more use then.
        """
        if self._process is None or self._process.stdin is None:
            raise WorkerError("not started")
        try:
            print(case.as_json(), file=self._process.stdin, flush=True)
            return Result(**self._answer(CASE_WITHIN_S))
        except (WorkerError, OSError) as exc:
            result = Result.of(case, runner)
            result.problems.append(f"the harness failed: {exc}")
            try:
                self._kill(self._process)
            except ReapError as left:
                result.problems.append(f"the harness failed: {left}")
            return result

    def _kill(self, process: subprocess.Popen[str]) -> None:
        """End it with all that came of it, and what its local clouds left on the host.

        :raises ReapError: when something of that cannot be removed.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
        process.wait()
        reap_worlds(self.folder)

    @property
    def process(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise WorkerError("not started")
        return self._process

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answer(self, within_s: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise WorkerError("not started")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + within_s
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise WorkerError(f"no answer within {within_s:.0f} s; see {self.log}")
        line = process.stdout.readline()
        if not line:
            raise WorkerError(f"the worker ended; the end of {self.log}:\n{last_lines(self.log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def reap_worlds(folder: Path) -> None:
    """Remove what the local clouds of a killed worker left: machines, mounts, networks.

    Their folders say what that is, so this comes before those go.

    :raises ReapError: when something cannot be removed, with what was said of it.
    """
    for cloud in sorted(folder.glob("world-*/cloud")):
        reap_state(Layout(folder), cloud, with_root=False)  # with real machines we are root


def clear(folder: Path) -> None:
    """Make an empty folder for a worker, once nothing lives on in the one that is there.

    :raises ReapError: when something does.
    """
    reap_worlds(folder)
    shutil.rmtree(folder, ignore_errors=True)  # what was killed may write a last word meanwhile
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def airflow_environment(home: Path) -> dict[str, str]:
    """Return the environment of a process with an Airflow of its own, and nobody else's."""
    home.mkdir(parents=True, exist_ok=True)
    base = environment(Layout(home.parent), token="")
    return {
        **base,
        "PATH": f"{Layout.default().home / 'tools/bin'}:{base['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": os.environ.get("CHAOS_LOG_LEVEL", "WARNING"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
