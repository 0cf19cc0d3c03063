"""Fetch an image from the registry as containerd does: in its order, with its second tries.

Manifest by name, manifest by digest, then each blob that is not there. How often it asks was
measured with containerd 1.6.20 on a real machine (``tests/machine/test_faults.py``): an error is
asked again once, for the registry has two entries there; 429 is asked again at once, six times an
entry, whatever ``Retry-After`` says; a blob that ends early is asked for from there on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from emulator.machines.paper_tools.machine import ToolError

ENTRIES = 2  # of the registry in a machine's hosts.toml: each is asked, the second on an error
TRIES_WHEN_THROTTLED = 6  # of one entry
TRIES_WHEN_CUT = 7
TRIES_WHEN_REFUSED = 6  # of one entry, where there is a login: the first without it


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    is_whole: bool  # False where the connection ended before the announced end


Fetch = Callable[[str, int], Reply]
"""Path and first byte -> reply."""


class PullError(ToolError):
    """An image cannot be had. The text is containerd's, from ``failed to ...`` on."""


def over_http(registry: str, authorization: str = "") -> Fetch:
    """Return a way to fetch from ``host:port``.

    :param authorization: sent once the registry has asked for it, and from then on.
    """
    import http.client  # noqa: PLC0415  # 25 ms, and most tools never fetch

    known: dict[str, str] = {}

    def fetch(path: str, start: int) -> Reply:
        for _ in range(TRIES_WHEN_REFUSED):
            reply = once(path, start)
            if reply.status != HTTPStatus.UNAUTHORIZED or not authorization:
                break
            known["Authorization"] = authorization
        return reply

    def once(path: str, start: int) -> Reply:
        connection = http.client.HTTPConnection(registry, timeout=30)
        part = {"Range": f"bytes={start}-"} if start else {}
        try:
            connection.request("GET", path, headers=known | part)
            response = connection.getresponse()
            try:
                return Reply(response.status, response.read(), is_whole=True)
            except http.client.IncompleteRead as cut:
                return Reply(response.status, cut.partial, is_whole=False)
        except OSError as exc:
            raise PullError(f"failed to do request: {exc}") from None
        finally:
            connection.close()

    return fetch


def fetch_image(
    fetch: Fetch, registry: str, name: str, catalogued: dict[str, Any], have: Callable[[str], bool]
) -> None:
    """Ask for all that a pull asks for; what is stored is the catalogue's.

    :param name: canonical, as ``REGISTRY/acs/pause:3.9`` or ``REGISTRY/acs/pause@sha256:...``.
    :param have: tells whether the content store holds a digest.
    :raises PullError: where containerd gives up.
    """
    resolving = f'failed to resolve reference "{name}": '
    repository, _, wanted = name.removeprefix(f"{registry}/").rpartition(
        "@" if "@" in name else ":"
    )
    manifests, blobs = f"/v2/{repository}/manifests", f"/v2/{repository}/blobs"
    reply = _asked(fetch, f"{manifests}/{wanted}", 0)
    if reply.status == HTTPStatus.NOT_FOUND:
        raise PullError(f"{resolving}{name}: not found")
    if reply.status >= HTTPStatus.BAD_REQUEST:
        raise PullError(
            f"{resolving}pulling from host {registry} failed with status code [manifests "
            f"{wanted}]: {_text(reply.status)}"
        )
    digest = catalogued["digest"]
    if not have(digest):
        _copied(fetch, registry, f"{manifests}/{digest}")
    described = json.loads(catalogued["blobs"][digest])
    for part in (described["config"], *described["layers"]):
        if not have(part["digest"]):
            _copied(fetch, registry, f"{blobs}/{part['digest']}")


def refuse_what_does_not_fit(catalogued: dict[str, Any], room: int | None) -> None:
    """Let pass what fits on the disk.

    :param room: bytes left; nothing where the disk has no end.
    :raises PullError: in containerd's words.
    """
    if room is None or int(catalogued["size"]) <= room:
        return
    layer = json.loads(catalogued["blobs"][catalogued["digest"]])["layers"][-1]["digest"]
    data = f"/var/lib/containerd/io.containerd.content.v1.content/ingest/{layer[7:]}/data"
    raise PullError(f"failed to copy: failed to send write: write {data}: no space left on device")


def _copied(fetch: Fetch, registry: str, path: str) -> None:
    start = 0
    for _ in range(TRIES_WHEN_CUT):
        reply = _asked(fetch, path, start)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            problem = json.loads(reply.body)["errors"][0]
            message = f"{problem['code'].lower().replace('_', ' ')}: {problem.get('message', '')}"
            raise PullError(
                "failed to copy: httpReadSeeker: failed open: unexpected status code "
                f"http://{registry}{path}: {_text(reply.status)} - Server message: {message}"
                if reply.status != HTTPStatus.NOT_FOUND
                else "failed to copy: httpReadSeeker: failed open: could not fetch content "
                f"descriptor {path.rpartition('/')[2]} from remote: not found"
            )
        if reply.is_whole:
            return
        start += len(reply.body)
    raise PullError("failed to read expected number of bytes: unexpected EOF")


def _asked(fetch: Fetch, path: str, start: int) -> Reply:
    for _ in range(ENTRIES):
        for _ in range(TRIES_WHEN_THROTTLED):
            reply = fetch(path, start)
            if reply.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
        if reply.status < HTTPStatus.BAD_REQUEST:
            break
    return reply


def _text(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
