"""The parameters of a call, read from the official SDK as it is installed.

A second reading beside ``emulator/api_model.py``, so that a test does not trust what it tests.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from typing import Any

PACKAGES = {"2014-05-26": "alibabacloud_ecs20140526", "2015-12-15": "alibabacloud_cs20151215"}
WRITTEN = re.compile(r"if self\.(\w+) is not None:\s+(?:for .*\s+)?result\['([^']+)'\]")
EMPTIED = re.compile(r"result\['([^']+)'\] = \[\]\s+if self\.(\w+) is not None")


def request_fields(version: str, action: str) -> dict[str, Any]:
    """Return wire name -> type: a Python type, a dictionary of fields, or a list with one."""
    models = importlib.import_module(f"{PACKAGES[version]}.models")
    model = getattr(models, f"{action}Request", None)
    return model_fields(model, models) if model else {}


def model_fields(model: Any, models: Any) -> dict[str, Any]:
    source = inspect.getsource(model.to_map)
    wire = dict(WRITTEN.findall(source)) | {a: name for name, a in EMPTIED.findall(source)}
    hints = typing.get_type_hints(model.__init__, {**vars(typing), "main_models": models})
    hints.pop("return", None)
    return {wire[name]: field(hint, models) for name, hint in hints.items()}


def field(hint: Any, models: Any) -> Any:
    if typing.get_origin(hint) is list:
        return [field(typing.get_args(hint)[0], models)]
    if inspect.isclass(hint) and hasattr(hint, "to_map"):
        return model_fields(hint, models)
    return hint


def paths(fields: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return every leaf with its path; ``1`` stands for an element of a list."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, kind in fields.items():
        here, inner = (*above, name), kind
        while isinstance(inner, list):
            here, inner = (*here, "1"), inner[0]
        found += paths(inner, here) if isinstance(inner, dict) else [(here, inner)]
    return found
