"""A watch as HTTP shows it: one JSON line an event until the client or the server ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from emulator.kube.changes import Subscription
from emulator.kube.errors import KubeError, bad_request
from emulator.kube.requests import Target, table_asked, version_asked, wanted
from emulator.kube.resources import Obj, Resource
from emulator.kube.store import KubeStore
from emulator.kube.tables import table

# As the API server's default of 30 to 60 minutes; clients that end sooner ask for it.
DEFAULT_TIMEOUT_S = 1800.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def watch_response(store: KubeStore, request: Request, target: Target) -> StreamingResponse:
    """Answer ``?watch=true``. A version that is too old is an ERROR event, as the real server's."""
    return StreamingResponse(
        _lines(store, request, target),
        media_type="application/json",
        headers={"Cache-Control": "no-cache, private"},
    )


async def _lines(store: KubeStore, request: Request, target: Target) -> AsyncIterator[bytes]:
    query = request.query_params
    initial = query.get("sendInitialEvents", "").lower() == "true"
    plural = target.resource.plural
    try:
        timeout_s = _timeout_s(query.get("timeoutSeconds"))
        since = None if initial else version_asked(request)
        subscription = store.subscribe(plural, wanted(request, target), since)
    except KubeError as error:
        yield _line("ERROR", error.status())
        return
    with subscription:
        end = asyncio.get_running_loop().time() + timeout_s
        if initial:
            async for event in subscription.first():
                yield _shown(store, request, target.resource, *event)
            yield _line("BOOKMARK", _bookmark(target.resource, subscription.bookmark))
        async for kind, obj in _until(subscription, end):
            yield _shown(store, request, target.resource, kind, obj)


def _timeout_s(text: str | None) -> float:
    if not text:
        return DEFAULT_TIMEOUT_S
    if not text.isdigit():
        raise bad_request(f"timeoutSeconds is {text!r}, not a number of seconds")
    return float(text) or DEFAULT_TIMEOUT_S


async def _until(subscription: Subscription, end: float) -> AsyncIterator[tuple[str, Obj]]:
    loop = asyncio.get_running_loop()
    while (left := end - loop.time()) > 0:
        try:
            event = await asyncio.wait_for(subscription.next(), timeout=left)
        except TimeoutError:
            return
        if event is None:
            return
        yield event


def _shown(store: KubeStore, request: Request, resource: Resource, kind: str, obj: Obj) -> bytes:
    if table_asked(request):
        include = request.query_params.get("includeObject", "Metadata")
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        obj = table(resource.plural, [obj], store.clock.now(), metadata, include)
    return _line(kind, obj)


def _bookmark(resource: Resource, version: int) -> Obj:
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {
            "resourceVersion": str(version),
            "annotations": {INITIAL_EVENTS_END: "true"},
        },
    }


def _line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
