"""The kinds this slice of Kubernetes serves, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]  # a Kubernetes object in its JSON form

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind: how it is addressed and what its objects have."""

    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    group: str = ""
    version: str = "v1"
    has_status: bool = False  # status is a subresource: other writes leave it alone
    categories: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


RESOURCES = (
    Resource("namespaces", "Namespace", namespaced=False, short_names=("ns",), has_status=True),
    Resource("nodes", "Node", namespaced=False, short_names=("no",), has_status=True),
    Resource(
        "pods", "Pod", namespaced=True, short_names=("po",), has_status=True, categories=("all",)
    ),
    Resource("events", "Event", namespaced=True, short_names=("ev",)),
    Resource("leases", "Lease", namespaced=True, group="coordination.k8s.io"),
)

BY_PLURAL = {resource.plural: resource for resource in RESOURCES}
BY_API_VERSION: dict[str, dict[str, Resource]] = {}
for _resource in RESOURCES:
    BY_API_VERSION.setdefault(_resource.api_version, {})[_resource.plural] = _resource


def key_of(resource: Resource, namespace: str | None, name: str) -> tuple[str, str]:
    """Return where an object is kept; cluster-wide ones have an empty namespace."""
    return (namespace or "default") if resource.namespaced else "", name
