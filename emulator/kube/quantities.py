"""Kubernetes quantities (``500m``, ``2Gi``) and whether a Pod's requests fit on a node."""

from __future__ import annotations

import re
from decimal import Decimal

from emulator.kube.errors import bad_request
from emulator.kube.resources import Obj

_QUANTITY = re.compile(r"^(?P<number>[+-]?\d+(\.\d*)?|[+-]?\.\d+)(?P<unit>[A-Za-z]*)$")
_UNITS = {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
_UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}
_RESOURCES = {"cpu": "Insufficient cpu", "memory": "Insufficient memory"}


def is_quantity(text: object) -> bool:
    found = _QUANTITY.match(str(text))
    return found is not None and found["unit"] in _UNITS and found["number"][0] != "-"


def quantity(text: object) -> Decimal:
    """Return a quantity as a number.

    :raises KubeError: 400, for text that is none.
    """
    found = _QUANTITY.match(str(text))
    if not found or not is_quantity(text):
        raise bad_request(f"{text!r} is not a quantity, such as 500m, 2 or 1Gi")
    return Decimal(found["number"]) * _UNITS[found["unit"]]


def requested(spec: Obj, resource: str) -> Decimal:
    """Return what all containers of a Pod ask for; a limit alone counts as a request."""
    total = Decimal()
    for container in spec["containers"]:
        resources = container.get("resources") or {}
        asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
        total += quantity(asked.get(resource, 0))
    return total


def fits(spec: Obj, node: Obj, others: list[Obj]) -> str:
    """Return what a node lacks for a Pod, in kube-scheduler's words, or nothing.

    :param others: the specs of the Pods that it runs already.
    """
    allocatable = node["status"].get("allocatable") or {}
    if len(others) >= quantity(allocatable.get("pods", 110)):
        return "Too many pods"
    for resource, lack in _RESOURCES.items():
        wanted = requested(spec, resource)
        used = sum((requested(other, resource) for other in others), Decimal())
        if wanted and wanted + used > quantity(allocatable.get(resource, 0)):
            return lack
    return ""
