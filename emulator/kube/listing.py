"""A list as HTTP shows it: whole or in pages, as objects or as a table."""

from __future__ import annotations

import base64
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.kube.errors import KubeError, bad_request, continue_expired, too_large
from emulator.kube.requests import Target, number_asked, table_asked, version_asked, wanted
from emulator.kube.resources import Obj
from emulator.kube.store import KubeStore
from emulator.kube.tables import table

GONE = 410
NEWEST = -1  # in a token: whatever is there now, after the first page's state is lost


def list_response(store: KubeStore, request: Request, target: Target) -> Response:
    """Answer a list. All its pages show the state of the first one, for as long as it is kept."""
    after, at = _place(request)
    selection = wanted(request, target)
    try:
        found, version = store.select(target.resource.plural, selection, at=at)
    except KubeError as error:
        if after is None or error.code != GONE:
            raise
        raise continue_expired(_token(after, NEWEST)) from None
    if after is None and (asked := version_asked(request) or 0) > version:
        raise too_large(asked, version)
    rest = found if after is None else [obj for obj in found if _key(obj) > after]
    page, metadata = _page(request, rest, version)
    metadata["resourceVersion"] = str(version)
    if table_asked(request):
        include = request.query_params.get("includeObject", "Metadata")
        now = store.clock.now()
        return JSONResponse(table(target.resource.plural, page, now, metadata, include))
    kind, api_version = f"{target.resource.kind}List", target.resource.api_version
    items = [{k: v for k, v in obj.items() if k not in {"kind", "apiVersion"}} for obj in page]
    return JSONResponse(
        {"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}
    )


def _place(request: Request) -> tuple[list[str] | None, int | None]:
    """Return after which key a page begins, and at which version; None for first and newest."""
    asked = version_asked(request)
    if token := request.query_params.get("continue"):
        if asked is not None:
            raise bad_request("specifying resource version is not allowed when using continue")
        after, version = _read_token(token)
        return after, None if version == NEWEST else version
    exact = request.query_params.get("resourceVersionMatch") == "Exact"
    if exact and asked is None:
        raise bad_request("resourceVersionMatch=Exact needs a resourceVersion other than 0")
    return None, asked if exact else None


def _page(request: Request, found: list[Obj], version: int) -> tuple[list[Obj], Obj]:
    """Return one page and its ``continue`` metadata; ``found`` is sorted by key."""
    limit = number_asked(request, "limit")
    if limit is None or len(found) <= limit:
        return found, {}
    page, metadata = found[:limit], {"continue": _token(_key(found[limit - 1]), version)}
    query = request.query_params
    if query.get("labelSelector") or query.get("fieldSelector"):
        return page, metadata  # as the real server, which does not count what it has not read
    return page, {**metadata, "remainingItemCount": len(found) - limit}


def _key(obj: Obj) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _token(after: list[str], version: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *after]).encode()).decode()


def _read_token(token: str) -> tuple[list[str], int]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return [str(namespace), str(name)], int(version)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise bad_request(f"continue key is not valid: {token[:80]!r}") from None
