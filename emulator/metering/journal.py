"""``meter.jsonl``: what the meter saw, as it saw it, so that a killed cloud can be looked at.

One line an event, complete when the call goes on: what was written survives ``kill -9`` of the
process (not the end of its machine: nothing is flushed to the disk).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from emulator.metering.lines import Line, Reading
from emulator.metering.readings import KINDS

FILE = "meter.jsonl"
START, OPEN, CHANGE, CLOSE, STOP = "start", "open", "change", "close", "stop"


class Journal:
    """Appends to a file; an earlier cloud of the same folder keeps its part of it."""

    def __init__(self, path: Path) -> None:
        cut_back(path)
        self._file: TextIO = path.open("a", buffering=1)

    def start(self, now: datetime) -> None:
        self.write(START, now)

    def write(self, event: str, now: datetime, line: Line | None = None) -> None:
        entry: dict[str, Any] = {"time": now.isoformat(), "event": event}
        if line is not None:
            entry |= {"kind": line.kind, "id": line.resource_id}
            if event != CLOSE:
                reading = line.reading
                entry |= {
                    "name": reading.name,
                    "tags": dict(reading.tags),
                    "facts": dict(reading.facts),
                    "rate": reading.rate,
                }
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def cut_back(path: Path) -> None:
    """Drop an event that its writer did not come to the end of: the next would stick to it."""
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


class JournalError(Exception):
    """The file is no journal of a meter."""


def replay(path: Path) -> tuple[list[Line], datetime]:
    """Return the lines of the last cloud in a journal, and the moment up to which it knows.

    :raises JournalError: naming the line of the file that it cannot read.
    """
    lines: list[Line] = []
    alive: dict[tuple[str, str], Line] = {}
    now: datetime | None = None
    for number, entry in entries(path):
        try:
            now = datetime.fromisoformat(entry["time"])
            if entry["event"] == START:
                lines, alive = [], {}
            elif entry["event"] != STOP:
                apply(lines, alive, now, entry)
        except (KeyError, TypeError, ValueError) as exc:
            raise JournalError(f"{path}, line {number}: no event of a meter ({exc!r})") from exc
    if now is None:
        raise JournalError(f"{path} is empty: no local cloud with a meter ran there")
    return lines, now


def entries(path: Path) -> Iterator[tuple[int, Any]]:
    text = path.read_text().split("\n")
    # The last piece is empty, or an event that was cut off by the end of its writer.
    for number, line in enumerate(text[:-1], start=1):
        try:
            yield number, json.loads(line)
        except ValueError as exc:
            raise JournalError(f"{path}, line {number}: not JSON ({exc})") from exc


def apply(
    lines: list[Line], alive: dict[tuple[str, str], Line], now: datetime, entry: dict[str, Any]
) -> None:
    key = (entry["kind"], entry["id"])
    if entry["event"] == CLOSE:
        alive.pop(key).end(now)
        return
    reading = Reading(entry["name"], entry["tags"], entry["facts"], entry["rate"])
    if entry["event"] == CHANGE:
        alive[key].change(now, reading)
    elif entry["event"] == OPEN:
        line = Line(*key, KINDS[entry["kind"]].unit, now, reading)
        lines.append(line)
        alive[key] = line
    else:
        raise ValueError(f"unknown event {entry['event']}")
