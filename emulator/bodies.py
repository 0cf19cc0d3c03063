"""Reading what a call carries as text: its query, a form or a JSON object, each name once.

Stricter than a gateway that takes the last of two values or guesses an encoding: what is read
here in one way only can be read in one way there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from emulator.errors import BAD_REQUEST, ApiError, invalid

if TYPE_CHECKING:
    from emulator.signing import SignedRequest

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MAX_JSON_DEPTH = 32  # far above the API's own bodies, and far below what Python can walk


def query_params(text: str) -> dict[str, str]:
    """Return the parameters of a query.

    :raises ApiError: for a name that is given twice, or text that is not UTF-8.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise invalid("query", "it is not UTF-8") from None
    return once(pairs)


def form_params(signed: SignedRequest) -> dict[str, str]:
    """Return the parameters of a form body: other clients than the SDKs send them there."""
    if not signed.body:
        return {}
    if media_type(signed) != FORM:  # no source for the code
        raise ApiError(BAD_REQUEST, "UnsupportedMediaType", "ECS takes a query or a form body.")
    return query_params(decoded(signed.body))


def rpc_params(signed: SignedRequest) -> dict[str, str]:
    """Return the parameters of query and form together."""
    query, form = query_params(signed.query), form_params(signed)
    return once([*query.items(), *form.items()])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in pairs:
        if name in flat:
            raise invalid(name, "it is given twice")
        flat[name] = value
    return flat


def json_object(signed: SignedRequest) -> dict[str, Any]:
    """Return the object in a JSON body.

    :raises ApiError: for another form, a name that is given twice, a number that JSON has not.
    """
    if not signed.body:
        return {}
    if media_type(signed) != JSON:
        raise ApiError(BAD_REQUEST, "InvalidRequestBody", f"The Content-Type is not {JSON}.")
    text = decoded(signed.body)
    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise ApiError(BAD_REQUEST, "InvalidRequestBody", "The body is not JSON.") from None
    if not isinstance(value, dict) or too_deep(value):
        raise ApiError(BAD_REQUEST, "InvalidRequestBody", "The body is not a JSON object.")
    return value


def refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is Python's, not JSON's")


def too_deep(value: Any, left: int = MAX_JSON_DEPTH) -> bool:
    """Tell whether a value has more levels than any walk over it should have to bear."""
    if left == 0:
        return True
    inner = value.values() if isinstance(value, Mapping) else value
    nests = isinstance(value, Mapping | list)
    return nests and any(too_deep(each, left - 1) for each in inner)


def media_type(signed: SignedRequest) -> str:
    return signed.headers.get("content-type", "").partition(";")[0].strip().lower()


def decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ApiError(BAD_REQUEST, "InvalidRequestBody", "The body is not UTF-8.") from None
