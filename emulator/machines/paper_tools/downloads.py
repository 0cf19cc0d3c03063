"""Downloads: ``curl`` and ``wget``, from loopback only."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from emulator.machines.paper_tools.disks import options
from emulator.machines.paper_tools.machine import PaperRoot, ToolError
from emulator.machines.paper_tools.space import room_at

REFUSED, CUT, NOT_FOUND, NOT_WRITTEN = 7, 18, 22, 23  # curl's exit codes


def curl(root: PaperRoot, arguments: list[str]) -> int:
    """Fetch one URL, from loopback only: a paper machine has no network of its own."""
    if arguments == ["--version"]:
        print("curl 7.61.1 (paper)\nFeatures: HTTP2 UnixSockets")
        return 0
    if "--unix-socket" in arguments:
        from emulator.machines.paper_tools import cri  # noqa: PLC0415  # few downloads need it

        return cri.call(root, arguments[arguments.index("--unix-socket") + 1], arguments[-1])
    valued = "oHmw"
    found, words = options(
        [a for a in arguments if a not in ("--retry-all-errors", "--retry-connrefused")], valued
    )
    for name in ("retry", "retry-delay", "connect-timeout", "max-time"):
        if found.get(name) == "" and words:
            words.pop(0)  # written as two words
    return _fetch(root, words[-1], found.get("o") or found.get("output"))


def wget(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "OtT")
    name = found.get("O") or urlsplit(words[-1]).path.rpartition("/")[2]
    return _fetch(root, words[-1], name)


def _fetch(root: PaperRoot, url: str, output: str | None) -> int:
    parts = urlsplit(url)
    if parts.scheme != "http" or not (parts.hostname or "").startswith("127."):
        raise ToolError(f"curl: (6) Could not resolve host: {parts.hostname}", 6)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as response:
            if output is None:
                print(response.read().decode(errors="replace"), end="")
                return 0
            path = root.inside(output) if output.startswith("/") else Path(output)
            _save(root, response, path)
    except http.client.IncompleteRead as exc:
        missing = f"transfer closed with {exc.expected} bytes remaining to read"
        raise ToolError(f"curl: ({CUT}) {missing}", CUT) from None
    except urllib.error.HTTPError as exc:
        raise ToolError(
            f"curl: ({NOT_FOUND}) The requested URL returned error: {exc.code}", NOT_FOUND
        ) from None
    except urllib.error.URLError as exc:
        message = f"curl: ({REFUSED}) Failed to connect to {parts.netloc}: {exc.reason}"
        raise ToolError(message, REFUSED) from None
    return 0


def _save(root: PaperRoot, response: http.client.HTTPResponse, path: Path) -> None:
    """Write a download, as far as the disk has room."""
    body, room = response.read(), room_at(root, path.parent)
    path.write_bytes(body[:room])
    if room is not None and len(body) > room:
        raise ToolError(f"curl: ({NOT_WRITTEN}) Failure writing output to destination", NOT_WRITTEN)
