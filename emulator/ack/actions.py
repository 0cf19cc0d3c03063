"""The table of ACK actions, found by method and path, in the REST style of its API.

https://api.alibabacloud.com/document/CS/2015-12-15
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from emulator import parity
from emulator.ack.truths import TRUTHS
from emulator.api_model import ApiModel
from emulator.bodies import json_object
from emulator.errors import NOT_FOUND, ApiError, invalid, unsupported
from emulator.params import Call, Params, Rules
from emulator.truth import Truth

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.signing import SignedRequest

VERSION = "2015-12-15"
Handler = Callable[["Cloud", Params], dict[str, Any]]
MODEL = ApiModel(Path(__file__).parent / "api.json")


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    truth: Truth
    method: str
    path: re.Pattern[str]
    query: Call
    body: Call
    handler: Handler


ACTIONS: dict[str, Action] = {}


def action(name: str, rules: Rules | None = None) -> Callable[[Handler], Handler]:
    """Register a handler under the API's own name, with a rule for each parameter it obeys.

    The handler finds what is in the path under ``cluster_id``, ``nodepool_id``, ``task_id``.

    :raises ValueError: when ``truths.py`` does not say what is known of it.
    """
    if name not in TRUTHS:
        raise ValueError(f"{name} has no entry in emulator/ack/truths.py")
    model = MODEL.calls[name]
    query, body = model["query"], model["body"]

    def register(handler: Handler) -> Handler:
        if name in ACTIONS:
            raise ValueError(f"two handlers for {name}")
        ACTIONS[name] = Action(
            name,
            TRUTHS[name],
            model["method"],
            re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", model["path"])),
            Call(query, part(rules or {}, query)),
            Call(body, part(rules or {}, body)),
            handler,
        )
        return handler

    return register


def part(rules: Rules, fields: dict[str, Any]) -> Rules:
    return {path: rule for path, rule in rules.items() if path.partition(".")[0] in fields}


def find(name: str, method: str, path: str) -> tuple[Action, dict[str, str]]:
    """Return the action of a request, and what its path names.

    :raises ApiError: when header and path do not agree on an action, or it is not here.
    """
    for candidate in ACTIONS.values():
        match = candidate.path.fullmatch(path)
        if match and candidate.method == method:
            if name != candidate.name:
                raise invalid("x-acs-action", f"{method} {path} is {candidate.name}, not {name}")
            return candidate, {key: unquote(value) for key, value in match.groupdict().items()}
    if name in MODEL.names and name not in ACTIONS:
        raise unsupported(f"the ACK action {name}")
    raise ApiError(
        NOT_FOUND, "InvalidAction.NotFound", f"Specified api {name} is not at this path."
    )


def perform(cloud: Cloud, name: str, signed: SignedRequest, flat: dict[str, str]) -> dict[str, Any]:
    """Check and make one call.

    :param flat: the query's parameters.
    :raises ApiError: as ACK would refuse it.
    """
    found, named = find(name, signed.method, signed.path)

    def answer() -> dict[str, Any]:
        query = found.query.read(flat, text=True)
        given = found.body.read(json_object(signed), text=False)
        return found.handler(cloud, {**named, **query, **given})

    return parity.checked(name, found.truth, MODEL.answer(name), answer)
