"""What the API server does to an object before it keeps it: defaults, checks, taints of a Node."""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import datetime
from typing import Any

from emulator.guest.objects import time_text
from emulator.kube.errors import Cause, bad_request, invalid
from emulator.kube.pod_admission import admit_pod
from emulator.kube.quantities import is_quantity
from emulator.kube.resources import Obj, Resource

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
    " '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # as generateName: no vowels, no words by chance
_OURS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def prepare_new(resource: Resource, obj: Obj, namespace: str | None, now: datetime) -> None:
    """Name, stamp and default a new object in place.

    :raises KubeError: 400 or 422, naming each field that is wrong.
    """
    metadata = _metadata(resource, obj)
    _place(resource, metadata, namespace)
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
        metadata["name"] = metadata["generateName"] + suffix
    _check_metadata(resource, metadata)
    for field in _OURS:
        metadata.pop(field, None)
    metadata.pop("managedFields", None)  # field ownership belongs to server-side apply
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = time_text(now)
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    _admit(resource, obj, None)


def prepare_update(resource: Resource, new: Obj, old: Obj, subresource: str) -> Obj:
    """Return what an update of ``old`` by ``new`` leaves, with the server's own fields kept.

    :raises KubeError: 400 or 422, naming each field that is wrong.
    """
    metadata = _metadata(resource, new)
    for field in ("name", "namespace"):
        kept = old["metadata"].get(field)
        if metadata.setdefault(field, kept) != kept:
            raise bad_request(f"the {field} of the object ({metadata[field]}) is not {kept}")
        if kept is None:
            del metadata[field]
    for field in _OURS:
        metadata.pop(field, None)
        if field in old["metadata"]:
            metadata[field] = old["metadata"][field]
    metadata.pop("managedFields", None)
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    _check_metadata(resource, metadata)
    result = _parts(resource, new, old, subresource)
    result["apiVersion"], result["kind"] = resource.api_version, resource.kind
    _admit(resource, result, old)
    return result


def _parts(resource: Resource, new: Obj, old: Obj, subresource: str) -> Obj:
    """Return the parts that this write may change: the status alone, or all but the status."""
    if not resource.has_status:
        return new
    base, status = (old, new) if subresource == "status" else (new, old)
    result = {**base, "metadata": new["metadata"]}
    result.pop("status", None)
    if "status" in status:
        result["status"] = status["status"]
    return result


def _metadata(resource: Resource, obj: Obj) -> dict[str, Any]:
    kind = obj.get("kind", resource.kind)
    version = obj.get("apiVersion", resource.api_version)
    if (kind, version) != (resource.kind, resource.api_version):
        raise bad_request(
            f"the object provided is a {version} {kind}, not a"
            f" {resource.api_version} {resource.kind}"
        )
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request(f"metadata is a {type(metadata).__name__}, not an object")
    return metadata


def _place(resource: Resource, metadata: dict[str, Any], namespace: str | None) -> None:
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    wanted = namespace or metadata.get("namespace") or "default"
    if metadata.get("namespace") not in (None, "", wanted):
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the"
            f" request: {metadata['namespace']} is not {wanted}"
        )
    metadata["namespace"] = wanted


def _check_metadata(resource: Resource, metadata: dict[str, Any]) -> None:
    name = metadata.get("name") or ""
    causes = []
    if not name:
        causes.append(
            Cause("metadata.name", "Required value: name or generateName is required", "Required")
        )
    elif len(name) > 253 or not _NAME.match(name):  # noqa: PLR2004  # a DNS name has 253 at most
        causes.append(Cause("metadata.name", f'Invalid value: "{name}": {_NAME_RULE}'))
    for key, value in (metadata.get("labels") or {}).items():
        if not isinstance(value, str) or len(value) > 63 or not _LABEL_VALUE.match(value):  # noqa: PLR2004  # label values have 63 at most
            text = f'Invalid value: "{value}": not a valid label value (label {key})'
            causes.append(Cause("metadata.labels", text))
    if causes:
        raise invalid(resource.kind, name, causes)


def _admit(resource: Resource, obj: Obj, old: Obj | None) -> None:
    match resource.plural:
        case "pods":
            admit_pod(obj, old)
        case "nodes":
            _admit_node(obj)
        case "events":
            _admit_event(obj)
        case "namespaces":
            obj.setdefault("spec", {"finalizers": ["kubernetes"]})
            obj.setdefault("status", {"phase": "Active"})


def _admit_node(node: Obj) -> None:
    """Keep the taints that the node controller derives from conditions and ``unschedulable``.

    Done at the write itself, so that no Pod slips in between a condition and its taint.
    """
    spec = node.setdefault("spec", {})
    status = node.setdefault("status", {})
    causes = _missing("spec.taints", spec.get("taints"), ("key", "effect"))
    causes += _missing("status.conditions", status.get("conditions"), ("type", "status"))
    causes += _missing("status.addresses", status.get("addresses"), ("type", "address"))
    causes += [
        Cause(f"status.allocatable.{name}", f'Invalid value: "{text}": not a quantity')
        for name, text in (status.get("allocatable") or {}).items()
        if not is_quantity(text)
    ]
    if causes:
        raise invalid("Node", node["metadata"]["name"], causes)
    conditions = node["status"].get("conditions") or []
    ready = next((c.get("status") for c in conditions if c.get("type") == "Ready"), "False")
    wanted = {
        NOT_READY: ready == "False",
        UNREACHABLE: ready == "Unknown",
        UNSCHEDULABLE: bool(spec.get("unschedulable")),
    }
    taints = [taint for taint in spec.get("taints") or [] if taint.get("key") not in wanted]
    taints += [{"key": key, "effect": "NoSchedule"} for key, needed in wanted.items() if needed]
    spec.pop("taints", None)
    if taints:
        spec["taints"] = taints


def _missing(where: str, items: list[Obj] | None, fields: tuple[str, ...]) -> list[Cause]:
    return [
        Cause(f"{where}[{place}].{field}", "Required value", "FieldValueRequired")
        for place, item in enumerate(items or [])
        for field in fields
        if not item.get(field)
    ]


def _admit_event(event: Obj) -> None:
    involved = event.get("involvedObject")
    metadata = event["metadata"]
    causes = []
    if not isinstance(involved, dict):
        causes.append(Cause("involvedObject", "Required value", "FieldValueRequired"))
    elif (involved.get("namespace") or "default") != metadata["namespace"]:
        text = f'Invalid value: "{involved.get("namespace")}": does not match event.namespace'
        causes.append(Cause("involvedObject.namespace", text))
    if event.get("type", "Normal") not in {"Normal", "Warning"}:
        causes.append(Cause("type", f'Invalid value: "{event["type"]}": Normal or Warning'))
    if causes:
        raise invalid("Event", metadata["name"], causes)
