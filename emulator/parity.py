"""Holding what is answered against what is known of the real API, call by call.

Off unless the environment says ``EMULATOR_PARITY=strict``, as all tests do: there an error that
the action does not declare, or an answer that the SDK could not read, is a failure of the local
cloud itself and not of its caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.errors import ApiError
from emulator.truth import Truth

SWITCH = "EMULATOR_PARITY"
STRICT = "strict"
KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "float": (int, float),
    "map": Mapping,
}

Body = dict[str, Any]


class ParityError(Exception):
    """The local cloud answered what the real API is not known to answer."""


def is_strict() -> bool:
    return os.environ.get(SWITCH) == STRICT


def checked(action: str, truth: Truth, model: Mapping[str, Any], call: Callable[[], Body]) -> Body:
    """Make a call and, when tests ask for it, check its answer.

    :param model: the SDK's model of the answer.
    :raises ApiError: as the call does.
    :raises ParityError: for an undeclared error, or an answer that is not of the model.
    """
    try:
        body = call()
    except ApiError as error:
        if is_strict() and not truth.has(error.status, error.code):
            raise ParityError(
                f"{action} answered {error.status} {error.code}: declare it with its source in "
                "truths.py, or answer what the API does"
            ) from error
        raise
    if is_strict() and (problems := list(mismatches(model, body))):
        raise ParityError(f"{action} answered what its SDK cannot read: {'; '.join(problems)}")
    return body


def mismatches(model: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yield what in an answer the SDK's model of it does not have, or has with another type."""
    if isinstance(model, str):
        of_kind = isinstance(value, KINDS[model])
        if not of_kind or (isinstance(value, bool) and model != "boolean"):
            yield f"{path} is {value!r}, not of type {model}"
    elif isinstance(model, list):
        if not isinstance(value, list):
            yield f"{path} is {value!r}, not a list"
            return
        for element in value:
            yield from mismatches(model[0], element, f"{path}[]")
    elif not isinstance(value, Mapping):
        yield f"{path} is {value!r}, not an object"
    else:
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            if name not in model:
                yield f"the SDK has no {where}"
            else:
                yield from mismatches(model[name], inner, where)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every leaf, with ``[]`` for the elements of a list."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for element in value:
            yield from paths(element, f"{path}[]")
    elif path:
        yield path


def merged(found: set[str]) -> list[str]:
    """Return the paths, without those of empty lists and objects that others fill."""
    return sorted(
        path
        for path in found
        if not any(other.startswith((f"{path}.", f"{path}[]")) for other in found)
    )
