"""JSON patch, merge patch and strategic merge patch.

Strategic merge merges lists of objects by a key of each kind's own field; the table below holds
the fields of Nodes and Pods. Not emulated: ``$retainKeys`` and server-side apply (refused).
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

import copy
from typing import Any

from emulator.kube.errors import KubeError, bad_request, unsupported_media_type
from emulator.kube.resources import Obj

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)

# Lists of objects that merge by a key; lists that are not here are replaced as a whole.
MERGE_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "taints": "key",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
MERGED_VALUES = {"finalizers", "podCIDRs"}  # lists of plain values that merge as sets


def patched(current: Obj, patch: Any, media_type: str) -> Obj:
    """Return ``current`` with a patch applied; neither argument is changed.

    :raises KubeError: 415 for another media type, 400 for a patch that cannot be applied.
    """
    current = copy.deepcopy(current)
    match media_type:
        case "application/json-patch+json":
            result: Any = _json_patch(current, patch)
        case "application/merge-patch+json":
            result = _merge(current, patch)
        case "application/strategic-merge-patch+json":
            result = _strategic(current, patch)
        case _:
            raise unsupported_media_type(media_type, PATCH_TYPES)
    if not isinstance(result, dict):
        raise bad_request("the patch leaves no object")
    return result


def _merge(current: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _strategic(current: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return None
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [item for item in merged.get(name, []) if item not in value]
        elif key.startswith("$"):
            raise bad_request(f"not emulated in a strategic merge patch: {key}")
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _strategic_value(key, merged.get(key), value)
    return {key: value for key, value in merged.items() if value is not None}


def _strategic_value(key: str, current: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return _strategic(current, value)
    if key in MERGED_VALUES:
        kept = list(current or [])
        return kept + [item for item in value if item not in kept]
    if key in MERGE_KEYS:
        return _merge_list(MERGE_KEYS[key], current or [], value)
    return value


def _merge_list(merge_key: str, current: list[Any], patch: list[Any]) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    merged = list(current)
    for item in patch:
        if not isinstance(item, dict) or merge_key not in item:
            raise bad_request(f"map: {item!r} does not contain declared merge key: {merge_key}")
        places = [i for i, known in enumerate(merged) if known.get(merge_key) == item[merge_key]]
        if item.get("$patch") == "delete":
            merged = [known for known in merged if known.get(merge_key) != item[merge_key]]
        elif places:
            merged[places[0]] = _strategic(merged[places[0]], item)
        else:
            merged.append(_strategic({}, item))
    return merged


def _json_patch(document: Any, operations: Any) -> Any:
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    for operation in operations:
        document = _json_operation(document, operation)
    return document


def _json_operation(document: Any, operation: Obj) -> Any:
    try:
        name, path = operation["op"], _pointer(operation["path"])
        match name:
            case "add" | "replace":
                return _put(document, path, copy.deepcopy(operation["value"]), name)
            case "remove":
                return _put(document, path, None, name)
            case "test":
                if _look(document, path) != operation["value"]:
                    raise _unprocessable(f"testing value {operation['path']} failed")
                return document
            case "copy" | "move":
                source = _pointer(operation["from"])
                value = copy.deepcopy(_look(document, source))
                if name == "move":
                    document = _put(document, source, None, "remove")
                return _put(document, path, value, "add")
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _unprocessable(f"cannot apply {operation!r}: {error}") from error
    raise bad_request(f"unknown JSON patch operation {name!r}")


def _unprocessable(message: str) -> KubeError:
    return KubeError(422, "Invalid", f"the server rejected our request: {message}", {})


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"{text} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _look(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _put(document: Any, path: list[str], value: Any, operation: str) -> Any:
    if not path:
        return value
    parent = _look(document, path[:-1])
    last = path[-1]
    if isinstance(parent, list):
        place = len(parent) if last == "-" else int(last)
        if operation == "add":
            parent.insert(place, value)
        elif operation == "remove":
            del parent[place]
        else:
            parent[place] = value
    elif operation == "remove":
        del parent[last]
    else:
        if operation == "replace" and last not in parent:
            raise KeyError(last)
        parent[last] = value
    return document
