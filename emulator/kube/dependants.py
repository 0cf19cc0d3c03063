"""What goes along with an object that is removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.kube.resources import Obj

Kept = Mapping[str, Mapping[tuple[str, str], Obj]]  # by kind, then by namespace and name


def dependants(objects: Kept, plural: str, name: str) -> Iterator[tuple[str, Obj]]:
    """Yield what Kubernetes' garbage collectors remove after an object, with its kind."""
    if plural == "nodes":
        pods = objects["pods"].values()
        yield from (("pods", pod) for pod in pods if pod["spec"].get("nodeName") == name)
        lease = objects["leases"].get(("kube-node-lease", name))
        yield from [("leases", lease)] if lease else []
    if plural == "namespaces":
        for kind, kept in objects.items():
            yield from ((kind, obj) for (namespace, _), obj in kept.items() if namespace == name)
