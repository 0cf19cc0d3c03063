"""What the Describe calls share: filters, pages and the forms of time."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from emulator.errors import invalid
from emulator.params import Params

T = TypeVar("T")
DEFAULT_PAGE = 10
MAX_IDS = 100


def to_minute(moment: datetime | None) -> str:
    """Return an instance's time as ECS does: without its seconds."""
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%MZ}"


def to_second(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def id_list(text: str) -> str | None:
    """Check a parameter that is a list of ids as JSON text; return what is wrong with it."""
    try:
        ids = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON text"
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        return "it is not a JSON array of strings"
    return None if 0 < len(ids) <= MAX_IDS else f"it takes 1 to {MAX_IDS} ids, not {len(ids)}"


def wanted_ids(params: Params, name: str) -> set[str] | None:
    """Return the ids asked for; None for all."""
    return set(json.loads(params[name])) if params.get(name) else None


def has_tags(tags: dict[str, str], params: Params) -> bool:
    """Tell whether a resource has every tag asked for; a tag without value matches any."""
    return all(
        tag["Key"] in tags and ("Value" not in tag or tags[tag["Key"]] == tag["Value"])
        for tag in params.get("Tag", [])
    )


def page(
    params: Params,
    items: Iterable[T],
    key: Callable[[T], str],
    body: Callable[[list[T]], Any],
    *,
    least: int = 1,
    by_token: bool = True,
) -> dict[str, Any]:
    """Return one page of ``items`` in the order of ``key``, under what ``body`` makes of it.

    :param least: what a smaller MaxResults means; the API says so of some of its calls.
    :param by_token: the call has pages by token too.
    """
    ordered = sorted(items, key=key)
    if "MaxResults" in params or "NextToken" in params:
        for name in ("PageNumber", "PageSize"):
            if name in params:
                raise invalid(name, "it cannot be given with NextToken or MaxResults")
        size = max(params.get("MaxResults", DEFAULT_PAGE), least)
        return token_page(params, ordered, size, key, body)
    size = params.get("PageSize", DEFAULT_PAGE)
    number = params.get("PageNumber", 1)
    shown = ordered[(number - 1) * size : number * size]
    return {
        "TotalCount": len(ordered),
        "PageNumber": number,
        "PageSize": size,
        **({"NextToken": ""} if by_token else {}),
        **body(shown),
    }


def token_page(
    params: Params,
    ordered: list[T],
    size: int,
    key: Callable[[T], str],
    body: Callable[[list[T]], Any],
) -> dict[str, Any]:
    """Continue after the last item of the page before, even when that item is gone."""
    after = read_token(params.get("NextToken", ""))
    rest = [item for item in ordered if key(item) > after]
    shown = rest[:size]
    more = len(rest) > size
    token = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode() if more else ""
    return {"TotalCount": len(ordered), "NextToken": token, **body(shown)}


def read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("NextToken", "it is not a token of a page before") from None
