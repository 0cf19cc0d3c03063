"""How the local Airflow opens its SQLite file: patient with its other writers, and quick."""

from __future__ import annotations

import sqlite3
from typing import Any

LOCK_WITHIN_S = 120  # sqlite3 gives up after 5: too little for six processes on two busy cores


class LocalConnection(sqlite3.Connection):
    """Syncs the disk at checkpoints only, which in WAL mode a crash of a program cannot hurt."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL").close()


CONNECT_ARGS: dict[str, Any] = {"timeout": LOCK_WITHIN_S, "factory": LocalConnection}
