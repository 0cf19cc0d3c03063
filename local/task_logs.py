"""What the terminal needs of a task's log: how far it is, and why it failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.chain import Task

# Written by the trigger that watches a remote job.
_PROGRESS = re.compile(r"progress: (?P<done>\d+) of (?P<of>\d+) images, (?P<bytes>\d+) bytes")


def log_folder(airflow_home: Path, task: Task) -> Path:
    """Return the folder of all tries, as Airflow's default log_filename_template names it."""
    folder = airflow_home / "logs" / f"dag_id={task.dag_id}" / f"run_id={task.run_id}"
    folder /= f"task_id={task.task_id}"
    return folder / f"map_index={task.map_index}" if task.map_index >= 0 else folder


def log_files(airflow_home: Path, task: Task) -> list[Path]:
    """Return the logs of the last try, that of the triggerer too, oldest first."""
    folder = log_folder(airflow_home, task)
    found = folder.glob(f"attempt={max(task.try_number, 1)}.log*")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def progress(airflow_home: Path, task: Task) -> tuple[int, int, int] | None:
    """Return images done, images in all and bytes, as last said by the task."""
    last = None
    for entry in _entries(airflow_home, task):
        if found := _PROGRESS.search(str(entry.get("event", ""))):
            last = (int(found["done"]), int(found["of"]), int(found["bytes"]))
    return last


def error(airflow_home: Path, task: Task) -> str:
    """Return the exception that ended the task, or the last thing it logged as an error."""
    last = ""
    for entry in _entries(airflow_home, task):
        if details := entry.get("error_detail"):
            first = details[0]
            last = f"{first.get('exc_type')}: {first.get('exc_value')}"
        elif entry.get("level") in ("error", "critical"):
            last = last or str(entry.get("event"))
    return last or "no error in its log"


def _entries(airflow_home: Path, task: Task) -> Iterator[dict[str, Any]]:
    for path in log_files(airflow_home, task):
        with path.open(errors="replace") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # a line that is still being written, or no JSON
                if isinstance(entry, dict):
                    yield entry
