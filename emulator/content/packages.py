"""A file server shaped as an OSS bucket is: objects by key, no listing.

Not emulated: ranges, ETags, CRCs, signatures; a node reads whole public objects.
"""

from __future__ import annotations

import argparse
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from emulator.content.served import ServedProcess

_CHUNK = 1 << 20
_NO_SUCH_KEY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>\n"
)


class PackagesProcess(ServedProcess):
    """Serve the files below ``root`` in a process of its own."""

    what = "package server"

    def __init__(self, root: Path, address: str, port: int, netns: str | None, log: Path) -> None:
        super().__init__(address, port, netns, log)
        self.root = root

    def _command(self) -> list[str]:
        place = ["--root", str(self.root), "--address", self.address, "--port", str(self.port)]
        # The log's path is there for whoever looks for processes of a state folder.
        return [sys.executable, "-m", __name__, *place, "--log", str(self.log)]

    def _environment(self) -> dict[str, str]:
        repository = Path(__file__).resolve().parents[2]
        return {**super()._environment(), "PYTHONPATH": str(repository)}


class _ObjectHandler(BaseHTTPRequestHandler):
    server_version = "AliyunOSS"
    sys_version = ""
    root: Path

    def do_GET(self) -> None:
        path = self._object()
        if path is None:
            self._refuse()
            return
        size = self._announce(path)
        left = size
        with path.open("rb") as file:
            while True:
                chunk = file.read(_CHUNK)
                left -= len(chunk)
                if not left:  # before the end is sent: who has all of it finds it in the log
                    self._log_call(HTTPStatus.OK, size)
                self.wfile.write(chunk)
                if left <= 0 or not chunk:
                    break

    def do_HEAD(self) -> None:
        path = self._object()
        if path is None:
            self._refuse()
        else:
            self._announce(path)
            self._log_call(HTTPStatus.OK, 0)

    def _object(self) -> Path | None:
        key = unquote(urlsplit(self.path).path).lstrip("/")
        path = (self.root / key).resolve()
        return path if path.is_relative_to(self.root) and path.is_file() else None

    def _announce(self, path: Path) -> int:
        size = path.stat().st_size
        super().send_response_only(HTTPStatus.OK)
        self.send_header("Server", self.server_version)
        self.send_header("Content-Type", "application/gzip")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        return size

    def _refuse(self) -> None:
        body = b"" if self.command == "HEAD" else _NO_SUCH_KEY.encode()
        super().send_response_only(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(_NO_SUCH_KEY)))
        self.end_headers()
        self.wfile.write(body)
        self._log_call(HTTPStatus.NOT_FOUND, len(body))

    def _log_call(self, status: int, size: int) -> None:
        moment = self.log_date_time_string()
        line = f'{self.client_address[0]} - - [{moment}] "{self.requestline}" {int(status)} {size}'
        print(line, flush=True)  # noqa: T201  # stdout is the log

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, file=sys.stderr, flush=True)  # noqa: T201  # errors of a connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", help="not read; says whose server this is")
    options = parser.parse_args()
    _ObjectHandler.root = options.root.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer((options.address, options.port), _ObjectHandler).serve_forever()


if __name__ == "__main__":
    main()
