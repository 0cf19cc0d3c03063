"""A line to the local cloud that loses replies, throttles and breaks, call by call."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    LOST = "lost"  # carried out, but the connection is cut before the reply
    THROTTLED = "throttled"  # refused by the gateway, nothing done
    BROKEN = "broken"  # 503 although it was carried out
    DOWN = "down"  # 503, nothing done
    REFUSED = "refused"  # not allowed, nothing done
    PASSED = "passed"  # no fault: the one after it is for a later call


ANSWERS = {
    Fault.THROTTLED: (429, "Throttling.User"),
    Fault.BROKEN: (503, "ServiceUnavailable"),
    Fault.DOWN: (503, "ServiceUnavailable"),
    Fault.REFUSED: (403, "Forbidden.RAM"),
}


@dataclass
class BadLine:
    """Where to connect to, and what is to go wrong with the next calls of an action."""

    endpoint: str
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    words: list[tuple[str, bytes]] = field(default_factory=list)  # action, first line of HTTP

    def said(self, action: str) -> list[bytes]:
        """Return what each call of an action asked for, byte by byte."""
        return [words for name, words in self.words if name == action]

    def next_fault(self, action: str) -> Fault | None:
        self.actions.append(action)
        waiting = self.faults.get(action)
        return waiting.pop(0) if waiting else None


@contextmanager
def bad_line(upstream: str) -> Iterator[BadLine]:
    """Relay HTTP to ``upstream`` (host:port), except for what the line's faults say."""
    host, _, port = upstream.partition(":")
    line: BadLine

    class Relay(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while request := message(self.rfile):
                action = header(request, "x-acs-action")
                line.words.append((action, request.partition(b"\r\n")[0]))
                fault = line.next_fault(action)
                reply = b""
                if fault in (None, Fault.PASSED, Fault.LOST, Fault.BROKEN):
                    with socket.create_connection((host, int(port))) as cloud:
                        cloud.sendall(request)
                        reply = message(cloud.makefile("rb"))
                if fault is Fault.LOST:
                    return
                self.wfile.write(refusal(*ANSWERS[fault]) if fault in ANSWERS else reply)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Relay) as server:
        line = BadLine(endpoint=f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield line
        server.shutdown()


def message(stream: object) -> bytes:
    """Read one HTTP message, whose body has a Content-Length; nothing at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line: bytes = stream.readline()  # type: ignore[attr-defined]  # a binary file
        if not line:
            return b""
        head += line
    length = int(header(head, "content-length") or 0)
    body: bytes = stream.read(length)  # type: ignore[attr-defined]  # as above
    return head + body


def header(message: bytes, name: str) -> str:
    for line in message.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return ""


def refusal(status: int, code: str) -> bytes:
    body = json.dumps({"Code": code, "Message": "by the line", "RequestId": "LINE-1"}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
