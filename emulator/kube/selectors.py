"""Label and field selectors: which objects a list or a watch is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.kube.errors import bad_request
from emulator.kube.resources import Obj

_SET_TERM = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_SPLIT = re.compile(r",(?![^(]*\))")  # commas, but not those inside (a, b)
_FIELD_TERM = re.compile(r"^(?P<path>[A-Za-z.]+)(?P<op>!=|==|=)(?P<value>.*)$")

# As the API server's own table: any other field is refused there too.
FIELDS: dict[str, frozenset[str]] = {
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "leases": frozenset(),
    "pods": frozenset(
        {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "status.phase"}
        | {"status.podIP", "spec.serviceAccountName", "spec.hostNetwork"}
    ),
    "events": frozenset(
        {f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid", "apiVersion")}
        | {"involvedObject.resourceVersion", "involvedObject.fieldPath", "reason"}
        | {"reportingComponent", "source", "type"}
    ),
}
COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})

Term = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Selection:
    """A namespace, label terms and field terms that an object must all meet."""

    namespace: str | None = None
    labels: tuple[Term, ...] = ()
    fields: tuple[tuple[str, str, bool], ...] = ()  # path, value, equal or not

    def matches(self, obj: Obj) -> bool:
        metadata = obj["metadata"]
        if self.namespace is not None and metadata.get("namespace") != self.namespace:
            return False
        labels = metadata.get("labels") or {}
        if not all(term(labels) for term in self.labels):
            return False
        return all((_field(obj, path) == value) is equal for path, value, equal in self.fields)


def selection(plural: str, namespace: str | None, labels: str, fields: str) -> Selection:
    """Parse the query parameters of a list.

    :raises KubeError: 400, naming a selector that cannot be read or a field that has no index.
    """
    return Selection(
        namespace=namespace,
        labels=tuple(_label_term(term.strip()) for term in _SPLIT.split(labels) if term.strip()),
        fields=tuple(_field_term(plural, term) for term in fields.split(",") if term),
    )


def _label_term(term: str) -> Term:
    if found := _SET_TERM.match(term):
        key = found["key"]
        values = {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for operator in ("!=", "==", "="):
        key, hit, value = (part.strip() for part in term.partition(operator))
        if hit:
            if operator == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    if term.startswith("!"):
        absent = term[1:].strip()
        return lambda labels: absent not in labels
    if re.search(r"[\s()<>]", term):
        raise bad_request(f"unable to parse requirement: {term!r} is not a label selector")
    return lambda labels: term in labels


def _field_term(plural: str, term: str) -> tuple[str, str, bool]:
    found = _FIELD_TERM.match(term)
    if not found:
        raise bad_request(f"invalid field selector: {term!r}; can't understand it")
    path = found["path"]
    if path not in FIELDS[plural] | COMMON_FIELDS:
        raise bad_request(f"field label not supported: {path}")
    return path, found["value"], found["op"] != "!="


def _field(obj: Obj, path: str) -> str:
    """Return a field as text; a field that is not set is the empty string."""
    if path == "source":
        path = "source.component"
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "false" if path in {"spec.unschedulable", "spec.hostNetwork"} else ""
    return str(value)
