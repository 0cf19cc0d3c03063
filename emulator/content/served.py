"""A server in its own process, inside a network namespace if asked, with a log of its calls."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.content.errors import ContentError

_CLONE_NEWNET = 0x40000000
_START_WITHIN_S = 15.0
_STOP_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.02
# Both servers write the Apache common log format; docker-registry adds two fields.
_LOG_LINE = re.compile(
    r'^(?P<client>\S+) \S+ \S+ \[[^]]*\] "(?P<method>\S+) (?P<path>\S+) [^"]*" '
    r"(?P<status>\d{3}) (?P<bytes>\d+|-)"
)


@dataclass(frozen=True, slots=True)
class ServedCall:
    client: str  # address it came from
    method: str
    path: str
    status: int
    bytes: int  # of the body that was sent


class ServedProcess(ABC):
    """Start and stop one server; blocking, so call it through ``asyncio.to_thread``.

    :param netns: name below ``/run/netns``, or a path; None: where this process is.
    :param log: file that the server's output is appended to; its folder must exist.
    """

    what = "server"

    def __init__(self, address: str, port: int, netns: str | None, log: Path) -> None:
        self.address = address
        self.port = port
        self.log = log
        self._netns = Path("/run/netns", netns) if netns is not None else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process while it was not stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return once the port accepts connections.

        :raises ContentError: when its place is taken or missing, or it is not up in time.
        """
        if self._netns is not None and not self._netns.exists():
            raise ContentError(f"{self.what} cannot start: no network namespace {self._netns}")
        if _accepts(self.address, self.port, self._netns):
            raise ContentError(
                f"{self.what} cannot start: {self.address}:{self.port} is taken; "
                "stop what listens there or choose another port"
            )
        command = self._command()
        if self._netns is not None:
            command = ["nsenter", f"--net={self._netns}", "--", *command]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for the one who stops us
            )
        try:
            self._wait_for_port(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and wait until it is gone; nothing happens when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def calls(self) -> Iterator[ServedCall]:
        """Yield what was asked of the server so far, from its log."""
        with self.log.open(errors="replace") as lines:
            for line in lines:
                if match := _LOG_LINE.match(line):
                    yield ServedCall(
                        client=match["client"],
                        method=match["method"],
                        path=match["path"],
                        status=int(match["status"]),
                        bytes=0 if match["bytes"] == "-" else int(match["bytes"]),
                    )

    def bytes_served(self, client: str | None = None) -> int:
        """Return the bytes of all answers so far, or of those to one address."""
        return sum(call.bytes for call in self.calls() if client in (None, call.client))

    def move(self, port: int) -> None:
        """Go on at another port; connections that are open are cut.

        :raises ContentError: as ``start``.
        """
        was_running = self._process is not None
        self.stop()
        self.port = port
        if was_running:
            self.start()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line of the server, made anew for each start.

        :raises ContentError: when the server is not installed.
        """

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while not _accepts(self.address, self.port, self._netns):
            try:
                status = process.wait(_LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
                state = f"does not listen after {_START_WITHIN_S:g} s"
            else:
                state = f"ended with status {status}"
            raise ContentError(
                f"{self.what} at {self.address}:{self.port} {state}: {self._last_words()}"
            )

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or f"{self.log} is empty"


def _accepts(address: str, port: int, netns: Path | None) -> bool:
    """Try to connect, from inside the namespace: routes into it need not exist yet."""
    answer: list[bool] = []

    def look() -> None:
        if netns is not None:
            _enter(netns)
        with socket.socket() as probe:
            probe.settimeout(1)
            answer.append(probe.connect_ex((address, port)) == 0)

    # setns() moves only the calling thread, so a thread of its own keeps the others where they are.
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return bool(answer and answer[0])


def _enter(netns: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(netns, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(netns))
    finally:
        os.close(descriptor)
