"""What the API server says about itself: version, groups, kinds, and an OpenAPI schema.

``kubectl apply`` reads the schema to learn that the server checks fields; ``kubectl explain`` reads
its types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from emulator.kube.resources import BY_API_VERSION, VERBS, Obj, Resource
from emulator.kube.schema import ROOTS, fields_by_type

_SCALARS: dict[str, Obj] = {
    "str": {"type": "string"},
    "quantity": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}


def version_info(version: str) -> Obj:
    major, minor = re.findall(r"\d+", version)[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2025-01-15T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def core_versions() -> Obj:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list() -> Obj:
    groups = [_group(text) for text in BY_API_VERSION if "/" in text]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(api_version: str) -> Obj:
    name, _, version = api_version.partition("/")
    entry = {"groupVersion": api_version, "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def resource_list(api_version: str) -> Obj | None:
    """Return the kinds of one group and version, or nothing for one that is not served."""
    if api_version not in BY_API_VERSION:
        return None
    entries: list[Obj] = []
    for resource in BY_API_VERSION[api_version].values():
        entries.append(_entry(resource))
        if resource.has_status:
            entries.append(_entry(resource, "status", ("get", "patch", "update")))
        if resource.plural == "pods":
            binding = {**_entry(resource, "binding", ("create",)), "kind": "Binding"}
            entries.append(binding)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": entries,
    }


def _entry(resource: Resource, subresource: str = "", verbs: tuple[str, ...] = VERBS) -> Obj:
    entry: Obj = {
        "name": f"{resource.plural}/{subresource}" if subresource else resource.plural,
        "singularName": "" if subresource else resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(verbs),
    }
    if not subresource and resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if not subresource and resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def openapi_index() -> Obj:
    return {
        "paths": {
            prefix: {"serverRelativeURL": f"/openapi/v3/{prefix}"}
            for prefix in map(_prefix, BY_API_VERSION)
        }
    }


def _prefix(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


@cache
def openapi(prefix: str) -> Obj | None:
    """Return the OpenAPI 3 document of one group and version, such as ``api/v1``."""
    by_prefix = {_prefix(text): text for text in BY_API_VERSION}
    if prefix not in by_prefix:
        return None
    paths: Obj = {}
    for resource in BY_API_VERSION[by_prefix[prefix]].values():
        base = f"/{prefix}/namespaces/{{namespace}}" if resource.namespaced else f"/{prefix}"
        operation = _operation(resource)
        paths[f"{base}/{resource.plural}"] = {"post": operation}
        paths[f"{base}/{resource.plural}/{{name}}"] = {
            "get": operation,
            "patch": operation,
            "put": operation,
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "local"},
        "paths": paths,
        "components": {"schemas": _schemas(BY_API_VERSION[by_prefix[prefix]].values())},
    }


def _gvk(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: Resource) -> Obj:
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    return {
        "parameters": [parameter],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": _gvk(resource),
    }


def _schemas(resources: Iterable[Resource]) -> Obj:
    schemas: dict[str, Obj] = {
        name: {
            "type": "object",
            "properties": {field: _type(text) for field, text in fields.items()},
        }
        for name, fields in fields_by_type().items()
    }
    for resource in resources:
        schemas[ROOTS[resource.kind]]["x-kubernetes-group-version-kind"] = [_gvk(resource)]
    return schemas


def _type(text: str) -> Obj:
    if text.startswith("list["):
        return {"type": "array", "items": _type(text[5:-1])}
    if text.startswith("dict(str, "):
        return {"type": "object", "additionalProperties": _type(text[10:-1])}
    if text in _SCALARS:
        return _SCALARS[text]
    return {"$ref": f"#/components/schemas/{text}"}
