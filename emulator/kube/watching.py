"""A watch as HTTP shows it: one JSON line an event until the client or the server ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from emulator.kube.changes import Subscription
from emulator.kube.errors import KubeError
from emulator.kube.requests import Target, number_asked, table_asked, version_asked, wanted
from emulator.kube.resources import Obj, Resource
from emulator.kube.store import KubeStore
from emulator.kube.tables import table

# As the API server's default of 30 to 60 minutes; clients that end sooner ask for it.
DEFAULT_TIMEOUT_S = 1800.0
# The API server sends one about every minute, and one when a watch is about to end.
BOOKMARK_EVERY_S = 60.0
NEVER = float("inf")
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
        timeout_s = float(number_asked(request, "timeoutSeconds") or DEFAULT_TIMEOUT_S)
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
            bookmark = _bookmark(target.resource, subscription.bookmark)
            bookmark["metadata"]["annotations"] = {INITIAL_EVENTS_END: "true"}
            yield _line("BOOKMARK", bookmark)
        marks = query.get("allowWatchBookmarks", "").lower() in {"1", "true"}
        every_s = BOOKMARK_EVERY_S if marks else NEVER
        async for kind, obj in _until(store, subscription, end, every_s):
            if kind == "BOOKMARK":
                version = int(obj["metadata"]["resourceVersion"])
                yield _line(kind, _bookmark(target.resource, version))
            else:
                yield _shown(store, request, target.resource, kind, obj)


async def _until(
    store: KubeStore, subscription: Subscription, end: float, every_s: float
) -> AsyncIterator[tuple[str, Obj]]:
    """Yield changes until a moment of the loop's time, with a bookmark now and then and last."""
    loop = asyncio.get_running_loop()
    mark_at = min(loop.time() + every_s, end)
    while True:
        try:
            event = await asyncio.wait_for(subscription.next(), max(mark_at - loop.time(), 0))
        except TimeoutError:
            if every_s == NEVER:
                return
            store.mark(subscription)  # behind the changes that are queued, so none is skipped
            mark_at, event = min(mark_at + every_s, end), None
            while event is None or event[0] != "BOOKMARK":
                if (event := await subscription.next()) is None:
                    return
                yield event
            if loop.time() >= end:
                return
            continue
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
        "metadata": {"resourceVersion": str(version)},
    }


def _line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
