"""Calls that are malformed by construction: a valid one with one thing wrong."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.emulator.fuzz_limits import ENUMS, ID_LISTS, LENGTHS, LISTS, RANGES, REQUIRED
from tests.emulator.fuzz_line import ECS, Wire
from tests.emulator.fuzz_valid import Valid
from tests.emulator.sdk_fields import paths, request_fields

NOT_TEXT_OF: dict[Any, tuple[str, ...]] = {
    int: ("x", "1.0", "1e3", "0x10", " 1", "+1", "1_0", "٣", "1" * 400, "true", "NaN"),
    bool: ("yes", "1", "on", "t", "truee", "[]", " true"),
    float: ("x", "nan", "inf", "1e3", "1,5", "--1"),
}
NOT_JSON_OF: dict[Any, tuple[Any, ...]] = {
    int: ("1", 1.5, True, [1], {"a": 1}),
    bool: ("true", 1, 0, [True], {}),
    float: ("1.5", True, [1.5]),
    str: (1, True, ["x"], {"a": "b"}, 1.5),
}
# Cloud Assistant has codes of its own for some.
# A tag's value is without a key then.
TOO_LONG = ("Invalid", "MissingParameter", "CmdContent", "CmdDesc", "CmdName", "Username")
INVALID, MISSING, ABSENT = "Invalid", "MissingParameter", "EmulatorUnsupported"


@dataclass(frozen=True)
class Mutation:
    """A malformed call, what is wrong with it, and how the refusal's code may begin."""

    what: str
    wire: Wire
    codes: tuple[str, ...]


class Draft:
    """A valid call, taken apart so that one thing can be changed."""

    def __init__(self, valid: Valid, extras: dict[str, Any]) -> None:
        self.wire = valid.wire
        self.query = dict(valid.query)
        self.body = copy.deepcopy(valid.body)
        if self.body is None:
            self.query |= extras
        else:
            self.body |= copy.deepcopy(extras)

    def sent(self) -> Wire:
        wire = self.wire.with_query(self.query)
        return wire if self.body is None else wire.with_json(self.body)

    def changed(self, name: str, value: Any) -> Wire:
        """Return the call with one parameter set; ``name`` has dots, None takes it away."""
        other = copy.deepcopy(self)
        if other.body is None:
            other.query.pop(name, None)
            if value is not None:
                other.query[name] = str(value)
        else:
            put(other.body, name.split("."), value)
        return other.sent()


def put(body: dict[str, Any], path: list[str], value: Any) -> None:
    node: Any = body
    for part, below in itertools.pairwise(path):
        if isinstance(node, list):
            node.extend([{}] * (not node))
            node = node[0]
        else:
            node = node.setdefault(part, [] if below == "1" else {})
    if isinstance(node, list):
        node[:1] = [value]
    elif value is None:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value


def mutations(draft: Draft) -> dict[str, list[Mutation]]:
    """Return everything that is certainly wrong, by its kind; kinds without any are left out."""
    kinds = {
        "unknown name": unknown(draft),
        "wrong type": wrong_types(draft),
        "missing": missing(draft),
        "out of range": out_of_range(draft),
        "bad value": bad_values(draft),
        "too long": too_long(draft),
        "bad list": bad_lists(draft),
        "bad form": bad_forms(draft),
    }
    return {kind: found for kind, each in kinds.items() if (found := list(each))}


def known(draft: Draft) -> dict[str, Any]:
    return request_fields(draft.wire.version, draft.wire.action)


def empty_leaves(draft: Draft) -> Iterator[Mutation]:
    """Return the call with each of its leaves empty: refused or not, but always answered."""
    for path, _kind in paths(known(draft)):
        name = ".".join(path)
        yield Mutation(f"empty {name}", draft.changed(name, ""), ())


def unknown(draft: Draft) -> Iterator[Mutation]:
    fields = known(draft)
    names = ["Nonsense", "nonsense.1", "x", *(f"{name}x" for name in fields)]
    names += [name.swapcase() for name in fields if name.swapcase() not in fields]
    names += [f"{name}.1.nonsense" for name, kind in fields.items() if kind == [dict]]
    for name in names:
        yield Mutation(f"unknown {name}", draft.changed(name, "x"), (INVALID,))
        if draft.body is not None:
            query = draft.query | {name: "x"}
            in_query = draft.sent().with_query(query)
            yield Mutation(f"unknown {name} in the query", in_query, (INVALID,))


def wrong_types(draft: Draft) -> Iterator[Mutation]:
    bad = NOT_TEXT_OF if draft.body is None else NOT_JSON_OF
    for path, kind in paths(known(draft)):
        if draft.body is None and draft.wire.version != ECS and "1" in path:
            continue  # a list in ACK's queries is JSON text: see bad_lists
        name = ".".join(path)
        for value in bad.get(kind, ()):
            what = f"{name} = {value!r}"
            yield Mutation(what, draft.changed(name, value), (INVALID, ABSENT))


def missing(draft: Draft) -> Iterator[Mutation]:
    for name in REQUIRED.get(draft.wire.action, ()):
        yield Mutation(f"no {name}", draft.changed(name, None), (MISSING,))
        empty = "" if draft.body is None or "." in name else {}
        if isinstance(draft.query.get(name), str):
            yield Mutation(f"empty {name}", draft.changed(name, empty), (MISSING, INVALID))


def out_of_range(draft: Draft) -> Iterator[Mutation]:
    for name, (least, most) in RANGES.get(draft.wire.action, {}).items():
        for value in (least - 1, most + 1, -(10**9), 10**17, 10**40):
            if not least <= value <= most:
                what = f"{name} = {value}"
                yield Mutation(what, draft.changed(name, value), (INVALID, "QuotaExceeded"))


def bad_values(draft: Draft) -> Iterator[Mutation]:
    for name, good in ENUMS.get(draft.wire.action, {}).items():
        empty = () if draft.body is None else ("",)  # in a query it is as if not given
        for value in (f"{good}x", good.swapcase() * 2, f" {good}", "None", "*", *empty):
            yield Mutation(f"{name} = {value!r}", draft.changed(name, value), (INVALID, MISSING))


def too_long(draft: Draft) -> Iterator[Mutation]:
    action = draft.wire.action
    for name, most in LENGTHS.get(action, {}).items():
        for length in (most + 1, 10 * most):
            value = "a" * length
            wire = draft.changed(name, value)
            yield Mutation(f"{name} of {length}", wire, TOO_LONG)
    for form, most in LISTS.get(action, {}).items():
        names = {form.format(number): f"40{number}" for number in range(1, most + 2)}
        wire = draft.sent().with_query(draft.query | names)
        yield Mutation(f"{most + 1} of {form}", wire, (INVALID, "NumberExceed", "InstanceIds"))


def bad_lists(draft: Draft) -> Iterator[Mutation]:
    if name := ID_LISTS.get(draft.wire.action):
        many = json.dumps([f"i-{number}" for number in range(101)])
        texts = ("i-1", "[", "{}", "null", "1", '["a"', "[1]", "[[]]", "[null]", many)
        for text in texts:
            yield Mutation(f"{name} = {text[:20]}", draft.changed(name, text), (INVALID, MISSING))
    for name, kind in known(draft).items():
        if not isinstance(kind, list):
            for bad in (f"{name}.1", f"{name}.Key", f"{name}.1.Key") if draft.body is None else ():
                query = {k: v for k, v in draft.query.items() if k != name} | {bad: "x"}
                wire = draft.sent().with_query(query)
                yield Mutation(bad, wire, (INVALID, ABSENT))
        elif draft.wire.version == ECS:
            below = f".{next(iter(kind[0]))}" if isinstance(kind[0], dict) else ""
            yield from bad_indexes(draft, name, below)
        elif draft.body is not None:
            for value in ("x", {"a": 1}, 1, True):
                what = f"{name} = {value!r}"
                yield Mutation(what, draft.changed(name, value), (INVALID, ABSENT))


def bad_indexes(draft: Draft, name: str, below: str) -> Iterator[Mutation]:
    bare = {key: v for key, v in draft.query.items() if not key.startswith(f"{name}.")}
    forms: list[tuple[str, ...]] = [
        (f"{name}.0{below}",),
        (f"{name}.1{below}", f"{name}.3{below}"),
        (f"{name}.2{below}",),
        (f"{name}.01{below}",),
        (f"{name}.-1{below}",),
        (f"{name}.{10**12}{below}",),
        (f"{name}.٣{below}",),
        (f"{name}.x{below}",),
        (f"{name}.1.1{below}",),
        (f"{name}.1{below}.1.1",),
        (name,),
        (f"{name}.",),
    ]
    for names in forms:
        wire = draft.sent().with_query(bare | dict.fromkeys(names, "1"))
        yield Mutation(", ".join(names), wire, (INVALID, ABSENT))


def bad_forms(draft: Draft) -> Iterator[Mutation]:
    wire = draft.sent()
    for pair in wire.query:
        twice = dataclasses.replace(wire, query=(*wire.query, pair))
        yield Mutation(f"{pair[0]} twice", twice, (INVALID,))
    if draft.body is not None:
        if REQUIRED.get(wire.action):
            yield Mutation("no body", dataclasses.replace(wire, body=b""), (MISSING,))
        for body in (b"{", b"[]", b"1", b"null", b'"x"', b"\xff", wire.body + b"}", b"{1:2}"):
            bad = dataclasses.replace(wire, body=body)
            yield Mutation(f"body {body[:12]!r}", bad, (INVALID,))
    for method in sorted({"GET", "POST", "PUT", "DELETE", "PATCH"} - {wire.method}):
        if wire.version == ECS and method == "GET":
            continue  # ECS takes both
        other = dataclasses.replace(wire, method=method)
        yield Mutation(f"by {method}", other, (INVALID, "UnsupportedHTTPMethod"))
