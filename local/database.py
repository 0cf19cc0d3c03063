"""Airflow's SQLite file: how it is opened, and what a start does about runs of an earlier one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOCK_WITHIN_S = 120  # sqlite3 gives up after 5: too little for six processes on two busy cores


class LocalConnection(sqlite3.Connection):
    """Syncs the disk at checkpoints only, which in WAL mode a crash of a program cannot hurt."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL").close()


CONNECT_ARGS: dict[str, Any] = {"timeout": LOCK_WITHIN_S, "factory": LocalConnection}

_UNFINISHED_RUNS = ("queued", "running")
_UNFINISHED_TASKS = (
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "awaiting_input",
    "up_for_retry",
    "up_for_reschedule",
)


def close_unfinished(path: Path) -> int:
    """Mark every run failed that was under way when an earlier local run ended; return how many.

    The cloud that it worked on is gone, so going on could only wait for machines that never
    answer, and keep a new run from starting. Done in the file before Airflow is up: by its API the
    scheduler and the triggerer would have gone on first. Nothing else may have the file open.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
        closed = connection.executemany(
            "UPDATE dag_run SET state = 'failed', end_date = ? WHERE state = ?",
            [(now, state) for state in _UNFINISHED_RUNS],
        ).rowcount
        connection.executemany(
            "UPDATE task_instance SET state = 'failed', end_date = ?, trigger_id = NULL"
            " WHERE state = ?",
            [(now, state) for state in _UNFINISHED_TASKS],
        )
        connection.execute("DELETE FROM trigger")
    return closed
