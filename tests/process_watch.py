"""What ``ps`` shows while something runs: command lines and environments of some processes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.secrets_search import Place

LOOK_EVERY_S = 0.05
LOOKS = 3
"""How often a process is read: what it becomes by exec is seen too."""


@dataclass
class ProcessWatch:
    """Looks at all processes that have a text in command line or environment.

    :param ours: such as a folder of the test's own. Empty: every process but this one's threads.
    """

    ours: str
    command_lines: set[bytes] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)
    _known: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        there = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
        for gone in self._known.keys() - there:
            del self._known[gone]
        for pid in there - {os.getpid()}:
            self._known[pid] = self._known.get(pid, 0) + 1
            if self._known[pid] <= LOOKS:
                self._read(pid)

    def _read(self, pid: int) -> None:
        ours = self.ours.encode()
        with contextlib.suppress(OSError):  # it has ended
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            if ours in line or ours in environment:
                self.command_lines.add(line)
                self.environments.add(environment)

    @property
    def words(self) -> set[str]:
        """The words of all command lines, of paths the last part."""
        return {
            word.decode(errors="replace").rpartition("/")[2]
            for line in self.command_lines
            for word in line.split(b"\0")
        }

    def places(self) -> list[Place]:
        return [
            Place("command line", "of any process", lambda: list(self.command_lines)),
            Place("environment", "of any process", lambda: list(self.environments)),
        ]


@contextlib.contextmanager
def looking(*looks: Callable[[], None]) -> Iterator[None]:
    """Look again and again, in a thread, until the block ends."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(LOOK_EVERY_S):
            for look in looks:
                look()

    thread = threading.Thread(target=run, name="looking")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
