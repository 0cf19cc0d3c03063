"""Reading a call's parameters: stricter than the API, so that what passes here passes there.

Every name and type is checked against the SDK's own model of the call, then against the rules
of the handler. A name that the API does not know is ``InvalidParameter``; one that it knows and
the handler has no rule for is ``EmulatorUnsupported``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.errors import BAD_REQUEST, invalid, missing, unsupported

Params = Mapping[str, Any]
Check = Callable[[Any], str | None]  # returns what is wrong, or nothing
MAX_INDEX = 1000  # far above every list limit of the API
MAX_DEPTH = 16  # as many dots in a name; the API's deepest has four


@dataclass(frozen=True, slots=True)
class Rule:
    """What one parameter may be, beyond its type.

    :param may_be_empty: empty text in a query is a value; for others it is as if not given.
    :param code: the API's own error code for a bad value, where it has one, as ``status``.
    :param not_here: values that the API has and this emulator has not.
    :param low: smallest number, or fewest elements or characters.
    :param high: largest number, or most elements or characters.
    """

    required: bool = False
    may_be_empty: bool = False
    one_of: tuple[Any, ...] = ()
    not_here: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    check: Check | None = None
    code: str = "InvalidParameter"
    status: int = BAD_REQUEST

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value of the right type, or nothing."""
        if self.one_of and value not in self.one_of:
            return f"{value!r} is none of {', '.join(map(str, self.one_of))}"
        size = value if isinstance(value, int | float) else len(value)
        if self.low is not None and size < self.low:
            return f"{size} is less than {self.low:g}"
        if self.high is not None and size > self.high:
            return f"{size} is more than {self.high:g}"
        if self.pattern and not re.fullmatch(self.pattern, value, re.DOTALL):
            return f"{value!r} does not match {self.pattern}"
        return self.check(value) if self.check else None


Rules = Mapping[str, Rule]
REQUIRED = Rule(required=True)
ANY = Rule()


@dataclass(frozen=True, slots=True)
class Call:
    """The names and types of one API call (from its SDK) and the rules for those emulated."""

    fields: Mapping[str, Any]
    rules: Rules

    def __post_init__(self) -> None:
        for path in self.rules:
            if not self._known(path):
                raise ValueError(f"rule for {path}, which the API does not have")

    def _known(self, path: str) -> bool:
        node: Any = self.fields
        for part in path.split("."):
            node = node[0] if isinstance(node, list) else node
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return True

    def not_emulated(self) -> list[str]:
        """Return the paths that the API has and this emulator refuses."""
        return sorted(path for path in leaves(self.fields) if not self.emulates(path))

    def emulates(self, path: str) -> bool:
        inside = f"{path}."
        return path in self.rules or any(rule.startswith(inside) for rule in self.rules)

    def read(self, given: Mapping[str, Any], *, text: bool) -> dict[str, Any]:
        """Return the parameters with their types.

        :param text: leaves are text, as in a query; else they must have their JSON type.
        :raises ApiError: for the first parameter that the API or the emulator would refuse.
        """
        read = self._object(self.fields, given, "", text)
        for path, rule in self.rules.items():
            for name, value in found(read, path.split("."), ""):
                check(name, value, rule)
        return read

    def _value(self, field: Any, value: Any, path: str, text: bool) -> Any:
        if isinstance(field, str):
            return leaf(field, value, path, text)
        if isinstance(field, list):
            return self._list(field[0], value, path, text)
        if "json" in field and isinstance(field["json"], list):
            return self._list(field["json"][0], json_text(value, path), path, text=False)
        if not isinstance(value, Mapping):
            raise invalid(path, "it must be an object")
        return self._object(field, value, path, text)

    def _object(
        self, fields: Mapping[str, Any], given: Mapping[str, Any], path: str, text: bool
    ) -> dict[str, Any]:
        read = {}
        for name, value in given.items():
            where = f"{path}.{name}" if path else name
            if name not in fields:
                raise invalid(where, "the API has no such parameter")
            if not self.emulates(indexless(where)):
                if unset(fields[name], value):
                    continue
                raise unsupported(f"parameter {where}")
            if value is not None and not (text and self._is_none(where, value)):
                read[name] = self._value(fields[name], value, where, text)
        return read

    def _is_none(self, path: str, value: Any) -> bool:
        """Tell whether a query's parameter counts as not given, as most empty ones do."""
        return value == "" and not self.rules.get(indexless(path), ANY).may_be_empty

    def _list(self, field: Any, value: Any, path: str, text: bool) -> list[Any]:
        if not isinstance(value, list):
            raise invalid(path, "it must be a list")
        return [
            self._value(field, element, f"{path}.{number}", text)
            for number, element in enumerate(value, start=1)
        ]


def unset(field: Any, value: Any) -> bool:
    """Tell whether a value says nothing: the SDK sends ``[]`` for lists that were never set."""
    empty: Any = [] if isinstance(field, list) else {}
    may_be_empty = isinstance(field, list | Mapping) or field == "map"
    return value is None or (may_be_empty and value == empty)


def indexless(path: str) -> str:
    return ".".join(part for part in path.split(".") if not part.isdigit())


def leaves(fields: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        inner = field[0] if isinstance(field, list) else field
        if isinstance(inner, Mapping) and "json" not in inner:
            yield from leaves(inner, where)
        else:
            yield where


def found(value: Any, parts: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, value or None) for each place that a rule's path names."""
    name = f"{path}.{parts[0]}" if path else parts[0]
    inner = value.get(parts[0])
    if len(parts) == 1:
        yield name, inner
    elif isinstance(inner, list):
        for number, element in enumerate(inner, start=1):
            yield from found(element, parts[1:], f"{name}.{number}")
    elif inner is not None:
        yield from found(inner, parts[1:], name)


def check(name: str, value: Any, rule: Rule) -> None:
    if value in (None, [], {}) or (value == "" and rule.required):
        if rule.required:
            raise missing(name)
        return
    if value in rule.not_here:
        raise unsupported(f"{name} {value}")
    if problem := rule.problem(value):
        raise invalid(name, problem, code=rule.code, status=rule.status)


def leaf(kind: str, value: Any, path: str, text: bool) -> Any:
    if kind == "map":
        if not isinstance(value, Mapping):
            raise invalid(path, "it must be an object")
        return value
    converted = from_text(kind, value) if text else from_json(kind, value)
    if converted is None:
        raise invalid(path, f"{value!r} is not of type {kind}")
    return converted


def from_text(kind: str, value: Any) -> Any:
    """Convert text of a query; None when it has another type. Booleans come as Python's."""
    if not isinstance(value, str):
        return None
    match kind:
        case "boolean":
            return {"true": True, "false": False}.get(value.lower())
        case "integer":
            return int(value) if re.fullmatch(r"-?\d{1,18}", value, re.ASCII) else None
        case "float":
            return float(value) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", value, re.ASCII) else None
    return value


def from_json(kind: str, value: Any) -> Any:
    expected: dict[str, Any] = {"boolean": bool, "integer": int, "float": (int, float)}
    is_of_kind = isinstance(value, expected.get(kind, str))
    if isinstance(value, bool) and kind != "boolean":
        return None  # True is an int in Python and is none in JSON
    return value if is_of_kind else None


def json_text(value: Any, path: str) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        raise invalid(path, "it is not JSON text") from None


def nested(flat: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``{"DataDisk.1.Size": "40"}`` into ``{"DataDisk": [{"Size": "40"}]}``."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        if name.count(".") > MAX_DEPTH:
            raise invalid(name[:MAX_DEPTH], "the API has no such parameter")
        node = tree
        *parents, last = name.split(".")
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise invalid(name, "it is given both as a value and as an object")
        if last in node:
            raise invalid(name, "it is given twice")
        node[last] = value
    return {name: lists(value, name) for name, value in tree.items()}


def lists(node: Any, path: str) -> Any:
    """Turn objects with the keys 1, 2, 3 … into lists; a gap is refused."""
    if not isinstance(node, dict):
        return node
    inner = {name: lists(value, f"{path}.{name}") for name, value in node.items()}
    if not inner or not all(name.isdecimal() for name in inner):
        return inner
    expected = [str(number) for number in range(1, min(len(inner), MAX_INDEX) + 1)]
    if sorted(inner) != sorted(expected):
        raise invalid(path, f"its elements must be numbered from 1, not {', '.join(inner)}")
    return [inner[number] for number in expected]
