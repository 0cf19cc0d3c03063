"""What one HTTP request asks of the API server: its path, its query and its body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml
from starlette.requests import Request

from emulator.kube.errors import (
    bad_request,
    no_such_path,
    not_emulated,
    unsupported_media_type,
)
from emulator.kube.patches import PATCH_TYPES
from emulator.kube.resources import BY_API_VERSION, Obj, Resource
from emulator.kube.selectors import Selection, selection

_JSON = "application/json"
_BODY_TYPES = (_JSON, "application/yaml")
_LAST_PART = 2  # a name and a subresource


@dataclass(frozen=True, slots=True)
class Target:
    """The object or collection that a path names."""

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @classmethod
    def from_path(cls, path: str) -> Target:
        """Read a path such as ``/api/v1/namespaces/default/pods/p/status``.

        :raises KubeError: 404 for what is not served.
        """
        parts = [part for part in path.split("/") if part]
        api_version, parts = _api_version(parts)
        kinds = BY_API_VERSION.get(api_version)
        if not kinds or not parts:
            raise no_such_path()
        namespace = None
        if parts[0] == "namespaces" and len(parts) > _LAST_PART and parts[2] != "status":
            namespace, parts = parts[1], parts[2:]
        resource = kinds.get(parts[0])
        rest = parts[1:]
        if resource is None or len(rest) > _LAST_PART or resource.namespaced < bool(namespace):
            raise no_such_path()
        if rest and resource.namespaced and namespace is None:
            raise no_such_path()
        return cls(resource, namespace, *rest)


def _api_version(parts: list[str]) -> tuple[str, list[str]]:
    if parts[:1] == ["api"]:
        return "/".join(parts[1:2]), parts[2:]
    if parts[:1] == ["apis"]:
        return "/".join(parts[1:3]), parts[3:]
    raise no_such_path()


def wants_watch(request: Request) -> bool:
    return request.query_params.get("watch", "").lower() in {"1", "true"}


def wanted(request: Request, target: Target) -> Selection:
    """Return the selection of a list, a watch or a deletion of a collection."""
    query = request.query_params
    fields = query.get("fieldSelector", "")
    if target.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
    return selection(
        target.resource.plural, target.namespace, query.get("labelSelector", ""), fields
    )


def version_asked(request: Request) -> int | None:
    """Return ``resourceVersion`` as a number; unset and ``0`` mean any."""
    return number_asked(request, "resourceVersion")


def number_asked(request: Request, name: str) -> int | None:
    """Return a parameter that is a number; unset and ``0`` mean none."""
    text = request.query_params.get(name, "")
    if text and not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad_request(f"{name} is {text[:40]!r}, not a number")
    return int(text or 0) or None


def table_asked(request: Request) -> bool:
    """Return whether the first form that the client accepts and we have is a Table.

    Protobuf and aggregated discovery are passed over: clients list JSON after them.
    """
    for form in request.headers.get("accept", "").split(","):
        media_type, *parameters = (part.strip() for part in form.split(";"))
        if media_type in {_JSON, "*/*", "application/*", ""}:
            settings = dict(part.partition("=")[::2] for part in parameters)
            if settings.get("as") == "Table":
                return settings.get("v", "v1") == "v1"
            if "as" not in settings:
                return False
    return False


async def read_body(request: Request) -> Obj:
    """Return the object in the body.

    :raises KubeError: 400 when it cannot be read, 415 for another media type.
    """
    if request.query_params.get("dryRun"):
        raise not_emulated("dryRun")
    media_type = _media_type(request) or _JSON
    if media_type not in _BODY_TYPES:
        raise unsupported_media_type(media_type, _BODY_TYPES)
    parsed = _parse(await request.body(), media_type)
    if not isinstance(parsed, dict):
        raise bad_request(f"the body is a {type(parsed).__name__}, not an object")
    return parsed


async def read_patch(request: Request) -> tuple[Any, str]:
    """Return the patch in the body and its media type."""
    if request.query_params.get("dryRun"):
        raise not_emulated("dryRun")
    media_type = _media_type(request)
    if media_type not in PATCH_TYPES:
        raise unsupported_media_type(media_type, PATCH_TYPES)
    return _parse(await request.body(), _JSON), media_type


async def read_delete_options(request: Request) -> dict[str, Any]:
    """Return grace and preconditions of a deletion, from its body and its query."""
    body = await request.body()
    options = _parse(body, _media_type(request) or _JSON) if body.strip() else {}
    if not isinstance(options, dict):
        raise bad_request("DeleteOptions is not an object")
    if options.get("dryRun") or request.query_params.get("dryRun"):
        raise not_emulated("dryRun")
    grace = options.get("gracePeriodSeconds", request.query_params.get("gracePeriodSeconds"))
    preconditions = options.get("preconditions") or {}
    try:
        grace_s = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds is {grace!r}, not a number") from None
    return {
        "grace_s": grace_s,
        "uid": preconditions.get("uid"),
        "version": preconditions.get("resourceVersion"),
    }


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip()


def _parse(body: bytes, media_type: str) -> Any:
    try:
        return yaml.safe_load(body) if media_type == "application/yaml" else json.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the body is not {media_type}: {error}") from error
