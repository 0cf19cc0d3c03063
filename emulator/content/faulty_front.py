"""A server with faults: it stands before the true one, at its address, while faults are armed.

A spent fault leaves it there, to pass everything on, until the next change of faults. Otherwise
it is not in the path, so what is measured without faults is the true server alone.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path

from emulator.content import faulty
from emulator.content.errors import ContentError
from emulator.content.served import ServedProcess
from emulator.faults import Fault, Faults
from emulator.machines.base import MachineError

BEHIND = 1000  # the true server's port moves up by this
CHUNK = 1 << 20
POLL_S = 0.02
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


class FaultyFront:
    """Put itself before a server when a fault of these kinds is armed, and away after the last.

    The server is started again at another port for that, twice a fault: a transfer in that moment
    is cut. Its log then names this process as the client, and not what is refused here.

    :param listen: return a socket that listens at the server's own address.
    """

    def __init__(
        self,
        process: ServedProcess,
        faults: Faults,
        kinds: tuple[type[Fault], ...],
        listen: Callable[[int], socket.socket],
    ) -> None:
        self._process = process
        self._faults = faults
        self._kinds = kinds
        self._listen = listen
        self._port = process.port
        self._server: _Front | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        self._faults.watch(self.update)
        self.update()

    def close(self) -> None:
        self._faults.unwatch(self.update)
        with self._lock:
            self._remove()

    def update(self) -> None:
        """Be in the path when a fault may still strike; go at the first change of faults after.

        :raises MachineError: when the server cannot be moved, or its address not be taken.
        """
        armed = any(
            isinstance(each.fault, self._kinds) and not each.is_spent
            for each in self._faults.armed()
        )
        with self._lock:
            if armed and self._server is None:
                self._insert()
            elif not armed and self._server is not None:
                self._remove()
                try:
                    self._process.move(self._port)
                except ContentError as error:
                    raise MachineError(str(error)) from error

    def _insert(self) -> None:
        try:
            self._process.move(self._port + BEHIND)
            listener = self._listen(self._port)
        except (ContentError, MachineError, OSError) as error:
            self._put_back()
            raise MachineError(
                f"no faults before {self._process.what}, which goes on without: {error}"
            ) from error
        true = (self._process.address, self._process.port)
        self._server = _Front(listener, true, self._faults, self._process.log)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name=f"faulty {self._process.what}"
        )
        self._thread.start()

    def _put_back(self) -> None:
        """Start the true server at its own address, also when it was left without a process.

        :raises MachineError: when it does not start there either.
        """
        self._process.stop()
        self._process.port = self._port
        try:
            self._process.start()
        except ContentError as error:
            raise MachineError(str(error)) from error

    def _remove(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep its connection open for ever

    def __init__(
        self, listener: socket.socket, true: tuple[str, int], faults: Faults, log: Path
    ) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.true = true
        self.faults = faults
        self.log = log


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Leave it to the true server's log, but for what it never hears of."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, http.client.HTTPException):
            # Either side went away, as clients do after an error.
            self.close_connection = True

    def _answer(self) -> None:
        if (instead := faulty.refusal(self.server.faults, self.path)) is not None:
            length = str(len(instead.body))
            self._begin(instead.status, {**instead.headers, "Content-Length": length})
            if self.command == "GET":
                self.wfile.write(instead.body)
            self._note(instead.status, len(instead.body))
            return
        connection = http.client.HTTPConnection(*self.server.true, timeout=60)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
            connection.request(self.command, self.path, headers=headers)
            self._pass_on(connection.getresponse())
        finally:
            connection.close()

    def _pass_on(self, response: http.client.HTTPResponse) -> None:
        kept = {n: v for n, v in response.getheaders() if n.lower() not in _HOP_BY_HOP}
        self._begin(response.status, kept)
        if self.command == "HEAD":
            return
        length = response.getheader("Content-Length")
        if length is None:  # its end is the end of the connection, here too
            shutil.copyfileobj(response, self.wfile, CHUNK)
            return
        _copy(response, self.wfile, self._end(response.status, int(length)))

    def _end(self, status: int, length: int) -> int:
        """Return how many bytes of this answer are sent."""
        if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return length
        begin = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(begin[1]) if begin else 0
        end = faulty.end_of_blob(self.server.faults, self.path, start + length)
        return max(end - start, 0)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        # A kept connection would still lead here when the front is gone.
        self.send_header("Connection", "close")
        self.end_headers()

    def _note(self, status: int, size: int) -> None:
        """Write a refusal into the server's log, in its format."""
        moment = self.log_date_time_string()
        line = f'{self.client_address[0]} - - [{moment}] "{self.requestline}" {status} {size}\n'
        with self.server.log.open("a") as log:
            log.write(line)


def _copy(source: http.client.HTTPResponse, target: BufferedIOBase, size: int) -> None:
    while size > 0 and (chunk := source.read(min(CHUNK, size))):
        target.write(chunk)
        size -= len(chunk)
