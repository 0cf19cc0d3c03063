"""Which fields each served kind has, and of what type: unknown ones are found before they are kept.

``schema.json`` holds the field names and types of the official client's models. A test compares
the two; ``python -m emulator.kube.schema > emulator/kube/schema.json`` writes it anew.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from emulator.kube.errors import bad_request
from emulator.kube.resources import Obj

ROOTS = {
    "Namespace": "V1Namespace",
    "Node": "V1Node",
    "Pod": "V1Pod",
    "Event": "CoreV1Event",
    "Lease": "V1Lease",
}
# Maps of quantities: a number is as good as its text.
_QUANTITIES = frozenset({"allocatable", "capacity", "limits", "requests"})
_ANY_OBJECT = frozenset({"managedFields"})  # dropped on arrival
_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "datetime": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "quantity": (str, int, float),
}
_CONTAINER = re.compile(r"^(?P<kind>list\[|dict\(str, )(?P<of>.*)[\])]$")


@cache
def fields_by_type() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = json.loads(text)
    return loaded


@dataclass(slots=True)
class Findings:
    """What a walk over an object found; unknown fields are taken out of it."""

    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def prune(kind: str, obj: Obj) -> list[str]:
    """Remove unknown fields and nulls from an object in place; return the paths of the unknown.

    :raises KubeError: 400, naming each field of a wrong type.
    """
    findings = Findings()
    _walk(ROOTS[kind], obj, "", findings)
    if findings.wrong:
        raise bad_request(f"{kind} in version v1 cannot be handled: {'; '.join(findings.wrong)}")
    return findings.unknown


def _walk(type_name: str, value: Any, path: str, findings: Findings) -> None:
    if type_name == "object":
        return
    if container := _CONTAINER.match(type_name):
        _walk_container(container, value, path, findings)
    elif type_name in _SCALARS:
        wanted = _SCALARS[type_name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            findings.wrong.append(f"{path} is a {type(value).__name__}, not a {type_name}")
        elif type_name == "datetime" and not _is_moment(str(value)):
            findings.wrong.append(f"{path} is {value!r}, not a moment like 2026-01-31T12:00:00Z")
    elif not isinstance(value, dict):
        findings.wrong.append(f"{path or 'the body'} is a {type(value).__name__}, not an object")
    else:
        _walk_fields(type_name, value, path, findings)


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _walk_container(found: re.Match[str], value: Any, path: str, findings: Findings) -> None:
    wanted = "list" if found["kind"] == "list[" else "map"
    if wanted == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            _walk(found["of"], item, f"{path}[{index}]", findings)
    elif wanted == "map" and isinstance(value, dict):
        for key, item in value.items():
            _walk(found["of"], item, f"{path}.{key}", findings)
    else:
        findings.wrong.append(f"{path} is a {type(value).__name__}, not a {wanted}")


def _walk_fields(type_name: str, value: Obj, path: str, findings: Findings) -> None:
    known = fields_by_type()[type_name]
    for name in list(value):
        where = f"{path}.{name}" if path else name
        if name not in known:
            findings.unknown.append(where)
            del value[name]
        elif value[name] is None:
            del value[name]  # null is as good as absent
        elif name not in _ANY_OBJECT:
            _walk(known[name], value[name], where, findings)


def _source() -> dict[str, dict[str, str]]:
    """Return the content of ``schema.json`` from the official client's models."""
    from kubernetes_asyncio.client import models  # noqa: PLC0415  # two seconds, and only here

    found: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS.values())
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        model = getattr(models, name)
        found[name] = {}
        for attribute, type_name in model.openapi_types.items():
            wire = model.attribute_map[attribute]
            if wire in _QUANTITIES and type_name == "dict(str, str)":
                type_name = "dict(str, quantity)"  # noqa: PLW2901
            found[name][wire] = type_name
            waiting += [t for t in re.findall(r"[A-Z]\w+", type_name) if hasattr(models, t)]
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def generated() -> str:
    return json.dumps(_source(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generated())
