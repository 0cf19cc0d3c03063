"""A script of Cloud Assistant as a process of this host: what it says, and how it is ended.

What is kept of an output, and that only the script itself is waited for, is the agent's own way:
https://github.com/aliyun/aliyun_assist_client (agent/taskengine, agent/util/process).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

# The agent sends the first part while a script runs and the last when it has ended. The page of
# DescribeInvocationResults gives the sum of both.
FIRST_BYTES = 6000
KEPT_BYTES = 24 * 1024
CHUNK = 64 * 1024
SIGNALLED = -1  # what the agent gives as the exit code of a process that a signal ended


class Output:
    """The beginning and the end of what was said; what is too much is dropped between them."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._said = 0

    def add(self, data: bytes) -> None:
        self._said += len(data)
        room = FIRST_BYTES - len(self._first)
        self._first += data[:room]
        self._last += data[room:]
        del self._last[: max(0, len(self._last) - (KEPT_BYTES - FIRST_BYTES))]

    @property
    def kept(self) -> bytes:
        return bytes(self._first + self._last)

    @property
    def dropped(self) -> int:
        return self._said - len(self._first) - len(self._last)


class ScriptProcess:
    """Implements ``RunningScript``.

    :param own: the number of the script's own process, when another stands before it.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, reader: int, own: Callable[[], int | None]
    ) -> None:
        self._process = process
        self._reader: int | None = reader
        self._own = own
        self._said = Output()
        self.was_killed = False  # by us
        os.set_blocking(reader, False)
        asyncio.get_running_loop().add_reader(reader, self._read)

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: dict[str, str],
        own: Callable[[int], int | None] = lambda pid: pid,
    ) -> Self:
        """Start a command in a session of its own.

        The pipe is ours and not asyncio's, whose processes end when their pipes are closed: a job
        that a script leaves behind may hold them open.

        :param own: as of the class, from the number of the command's process.
        """
        reader, writer = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return cls(process, reader, lambda: own(process.pid))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> bytes:
        return self._said.kept

    @property
    def dropped(self) -> int:
        return self._said.dropped

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> int:
        code = await self._process.wait()
        self._read()
        return code if code >= 0 else SIGNALLED

    def kill(self, *, tree: bool) -> None:
        if self.has_ended:
            return  # its number may be another's by now
        self.was_killed = True
        own = None if tree else self._own()
        with contextlib.suppress(ProcessLookupError):
            if own is None:  # all of it, or what was to become the script
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                os.kill(own, signal.SIGKILL)

    def close(self) -> None:
        """Close our end; what a script left running gets SIGPIPE for what it says from now on."""
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            self._reader = None

    def _read(self) -> None:
        """Take what there is now."""
        with contextlib.suppress(BlockingIOError):
            while self._reader is not None:
                data = os.read(self._reader, CHUNK)
                if not data:  # all that could speak has closed it
                    self.close()
                self._said.add(data)
