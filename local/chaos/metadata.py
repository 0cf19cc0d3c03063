"""What Airflow's database says of tasks at this moment: read often, so without its API."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

BUSY_WITHIN_S = 60
TASKS = """
SELECT ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.state, ti.try_number,
    tr.triggerer_id
FROM task_instance ti LEFT JOIN trigger tr ON tr.id = ti.trigger_id
JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id
WHERE dr.state = 'running' OR dr.id > ?
"""
END_PAUSE = """
UPDATE task_instance SET retry_delay_override = 0, end_date = '2020-01-01 00:00:00.000000'
WHERE id = ? AND state = 'up_for_retry'
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A task instance now."""

    ti_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    try_number: int
    triggerer_id: int | None

    @property
    def uuid(self) -> str:
        """The id as a process of the task has it in its title."""
        i = self.ti_id.replace("-", "")
        return f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}"


class Metadata:
    """The SQLite file of the local run's Airflow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = self._newest_run()

    def _newest_run(self) -> int:
        with closing(self._open()) as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM dag_run").fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=BUSY_WITHIN_S)

    def rows(self) -> list[Row]:
        """Return the tasks of every run that began since this object was made."""
        with closing(self._open()) as connection:
            found = connection.execute(TASKS, (self._since,)).fetchall()
        return [Row(*(*row[:5], row[5] or "none", *row[6:8])) for row in found]

    def end_pauses(self, rows: Iterable[Row]) -> None:
        """Let the next try of those that wait for it start now, as if the pause were over."""
        waiting = [(row.ti_id,) for row in rows if row.state == "up_for_retry"]
        if waiting:
            with closing(self._open()) as connection, connection:
                connection.executemany(END_PAUSE, waiting)
