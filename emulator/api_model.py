"""What each emulated call and its answer can carry, read from the official SDKs and kept as JSON.

``python -m emulator.api_model`` writes the files again; a test proves that they are current.
A leaf is a type name, an object is an object, a list is a list with one element, and a list
that travels as JSON text in a query is ``{"json": [...]}``. The emulator itself never imports
the SDKs: what it accepts can be read in a review.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import typing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ECS_FILE = HERE / "ecs" / "api.json"
ACK_FILE = HERE / "ack" / "api.json"
LEAVES = {str: "string", int: "integer", bool: "boolean", float: "float"}

Tree = dict[str, Any]


class ApiModel:
    """One service: the calls emulated here, and the names of all calls that it has."""

    def __init__(self, path: Path) -> None:
        tree: Tree = json.loads(path.read_text())
        self.calls: Tree = tree["calls"]
        self.names: frozenset[str] = frozenset(tree["names"])

    def fields(self, action: str) -> Tree:
        """Return every parameter of a call, from query and body alike."""
        call = self.calls[action]
        return {**call["query"], **call["body"]}

    def answer(self, action: str) -> Tree:
        """Return every field that the SDK knows of a call's answer."""
        answer: Tree = self.calls[action]["answer"]
        return answer


def snake(action: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", action).lower()


def describe_type(annotation: Any, models: Any) -> Any:
    """Return the JSON form of one annotated type."""
    if annotation in LEAVES:
        return LEAVES[annotation]
    origin = typing.get_origin(annotation)
    if origin is list:
        return [describe_type(typing.get_args(annotation)[0], models)]
    if inspect.isclass(annotation) and hasattr(annotation, "to_map"):
        return describe_model(annotation, models)
    return "map"


def describe_model(model: Any, models: Any) -> Tree:
    """Return wire name -> type of every field of an SDK model."""
    namespace = vars(typing) | {"main_models": models}
    hints = typing.get_type_hints(model.__init__, namespace)
    return {
        wire_name(model, attribute, annotation): describe_type(annotation, models)
        for attribute, annotation in hints.items()
        if attribute != "return"
    }


def wire_name(model: Any, attribute: str, annotation: Any) -> str:
    """Ask the model itself: set one attribute and see which key appears."""
    probe: Any = "probe"
    if typing.get_origin(annotation) is list:
        inner = typing.get_args(annotation)[0]
        probe = [inner()] if hasattr(inner, "to_map") else ["probe"]
    elif hasattr(annotation, "to_map"):
        probe = annotation()
    empty, filled = model().to_map(), model(**{attribute: probe}).to_map()
    changed = [key for key in filled if filled[key] != empty.get(key)]
    changed += [key for key in filled if key not in empty and key not in changed]
    return str(changed[0])


def describe_call(package: str, action: str) -> Tree:
    """Return method, path and parameters of one call, with where each one travels."""
    models = importlib.import_module(f"{package}.models")
    client = importlib.import_module(f"{package}.client").Client
    # The SDKs' generator puts no underscore after a digit: describe_clusters_v1with_options.
    method_name = re.sub(r"(?<=\d)_$", "", f"{snake(action)}_") + "with_options"
    source = inspect.getsource(getattr(client, method_name))
    tree: Tree = {
        "method": found(r"method = '(\w+)'", source),
        "path": re.sub(
            r"\{DaraURL\.percent_encode\((\w+)\)\}", r"{\1}", found(r"pathname = f?'(.*)'", source)
        ),
        "query": {},
        "body": {},
    }
    fields = request_fields(models, action)
    for place, name in re.findall(r"(query|body)\['([\w.]+)'\] = request", source):
        shrunk = re.search(rf"{place}\['{name}'\] = request\.\w+_shrink", source)
        tree[place][name] = {"json": fields[name]} if shrunk else fields[name]
    tree["answer"] = describe_model(getattr(models, f"{action}ResponseBody"), models)
    return tree


def request_fields(models: Any, action: str) -> Tree:
    model = getattr(models, f"{action}Request", None)
    return describe_model(model, models) if model else {}


def found(pattern: str, source: str) -> str:
    match = re.search(pattern, source)
    if match is None:
        raise ValueError(f"the SDK's source has no {pattern}: its generator changed")
    return match.group(1)


def describe_service(package: str, actions: typing.Iterable[str]) -> str:
    client = importlib.import_module(f"{package}.client").Client
    methods = {
        found(r"action = '(\w+)'", inspect.getsource(method))
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if name.endswith("with_options")
    }
    calls = {action: describe_call(package, action) for action in sorted(actions)}
    return json.dumps({"calls": calls, "names": sorted(methods)}, indent=1) + "\n"


def emulated(folder: Path) -> list[str]:
    """Return the actions that a package handles.

    Read from its text: it cannot be imported before its own model is written.
    """
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.py")))
    return re.findall(r'^@action\(\s*"(\w+)"', text, re.MULTILINE)


def files() -> dict[Path, str]:
    """Return the text that each file should have."""
    return {
        ECS_FILE: describe_service("alibabacloud_ecs20140526", emulated(ECS_FILE.parent)),
        ACK_FILE: describe_service("alibabacloud_cs20151215", emulated(ACK_FILE.parent)),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
