"""How far the process of a task has come: by the log that Airflow writes of it as it goes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.chaos.metadata import Row

BEFORE, IN_EXECUTE, IN_RESUME, AFTER = "before execute", "in execute", "in resume", "after execute"
BEGINS, EXECUTES, ENDS = "::group::Pre Execute", "::endgroup::", "::group::Post Execute"
WRITTEN_WITHIN_S = 0.1  # by the process beside it, which writes the log
LOOKS_APART_S = 1.0  # far longer than a call takes that nobody holds
IDLE_S = 0.05


def log_of(logs: Path, row: Row) -> Path:
    """Return where Airflow writes what the try of a task says."""
    folder = logs / f"dag_id={row.dag_id}" / f"run_id={row.run_id}" / f"task_id={row.task_id}"
    if row.map_index >= 0:
        folder /= f"map_index={row.map_index}"
    return folder / f"attempt={row.try_number}.log"


def moment(log: Path) -> str:
    """Return how far the last process of a try has come; one that was deferred has several."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return BEFORE
    last = text.rpartition(BEGINS)[2]
    if ENDS in last:
        return AFTER
    if EXECUTES not in last:
        return BEFORE
    return IN_EXECUTE if text.count(BEGINS) == 1 else IN_RESUME


def stopped_within(process: int, log: Path) -> str:
    """Stop a process that carries out its task's code, and return where it is; else nothing."""
    if moment(log) not in (IN_EXECUTE, IN_RESUME) or not _send(process, signal.SIGSTOP):
        return ""
    time.sleep(WRITTEN_WITHIN_S)  # what it said before it stopped
    where = moment(log)
    if where in (IN_EXECUTE, IN_RESUME):
        return where
    go_on(process)
    return ""


def go_on(process: int) -> None:
    _send(process, signal.SIGCONT)


def is_held(process: int, port: int) -> bool:
    """Tell whether it is this process that waits for an answer from a port, and not another.

    A connection alone may be an idle one: the process must not have done anything meanwhile either.
    """
    first = _calls(process, port)
    if not first.ports:
        return False
    time.sleep(LOOKS_APART_S)
    last = _calls(process, port)
    return bool(first.ports & last.ports) and last.cpu_s - first.cpu_s < IDLE_S


@dataclass(frozen=True, slots=True)
class _Calls:
    """A process's own ends of its connections somewhere, and what it has used of a core."""

    ports: frozenset[int] = frozenset()
    cpu_s: float = 0.0


def _calls(process: int, port: int) -> _Calls:
    try:
        looked_at = psutil.Process(process)
        used = looked_at.cpu_times()
        found = looked_at.net_connections(kind="tcp")
    except psutil.Error:
        return _Calls()
    there = (each for each in found if each.raddr and each.raddr.port == port)
    ends = frozenset(each.laddr.port for each in there if each.status == psutil.CONN_ESTABLISHED)
    return _Calls(ends, used.user + used.system)


def _send(process: int, number: signal.Signals) -> bool:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True
