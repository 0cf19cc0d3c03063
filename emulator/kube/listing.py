"""A list as HTTP shows it: whole or in pages, as objects or as a table."""

from __future__ import annotations

import base64
import binascii
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.kube.errors import KubeError, bad_request, too_large
from emulator.kube.requests import Target, table_asked, version_asked, wanted
from emulator.kube.resources import Obj
from emulator.kube.store import KubeStore
from emulator.kube.tables import table


def list_response(store: KubeStore, request: Request, target: Target) -> Response:
    """Answer a list.

    Pages after the first show the newest state, not the state of the first page: a real server
    does the same once the first page's version is too old.
    """
    found, version = store.select(target.resource.plural, wanted(request, target))
    _check_version(request, version)
    page, metadata = _page(request, found)
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


def _check_version(request: Request, version: int) -> None:
    asked = version_asked(request)
    if asked is not None and asked > version:
        raise too_large(asked, version)
    exact = request.query_params.get("resourceVersionMatch") == "Exact"
    if exact and asked is not None and asked < version:
        message = f"The provided resource version is too old: {asked}, kept: {version}"
        raise KubeError(410, "Expired", message)


def _page(request: Request, found: list[Obj]) -> tuple[list[Obj], Obj]:
    """Return one page and its ``continue`` metadata; ``found`` is sorted by key."""
    limit_text = request.query_params.get("limit", "")
    if limit_text and not limit_text.isdigit():
        raise bad_request(f"limit is {limit_text!r}, not a number")
    limit = int(limit_text or 0)
    if token := request.query_params.get("continue"):
        after = _read_token(token)
        found = [obj for obj in found if _key(obj) > after]
    if not limit or len(found) <= limit:
        return found, {}
    page = found[:limit]
    token = base64.urlsafe_b64encode(json.dumps(_key(page[-1])).encode()).decode()
    return page, {"continue": token, "remainingItemCount": len(found) - limit}


def _key(obj: Obj) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _read_token(token: str) -> list[str]:
    try:
        key = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise bad_request(f"continue key is not valid: {token!r}") from None
    return [str(part) for part in key]
