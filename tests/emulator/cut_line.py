"""A line to a server that can be cut, whatever is spoken on it: TLS and watches too."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class CutLine:
    port: int
    opened: int = 0  # connections that clients have made so far
    _sockets: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self) -> None:
        """Break every connection, as a router or a load balancer in between does."""
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()

    def keep(self, *pair: socket.socket) -> None:
        with self._lock:
            self.opened += 1
            self._sockets.update(pair)


@contextlib.contextmanager
def cut_line(port: int) -> Iterator[CutLine]:
    """Relay TCP to a port of this host until the context ends."""
    line: CutLine

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                line.keep(self.request, server)
                back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                back.start()
                pump(self.request, server)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Relay) as server:
        line = CutLine(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield line
        line.cut()
        server.shutdown()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until one side ends, then end the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
