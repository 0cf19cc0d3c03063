"""What the tests of states share: a table of calls and states, and how a cell is tried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.emulator.world import World, refused

Refusal = tuple[str, int] | None  # code and status; None where the call is allowed
Put = Callable[[World], Awaitable[str]]  # brings a resource into a state and returns its id
NODE_DISK = [{"category": "cloud_essd", "size": 40}]


def cells(table: dict[str, dict[str, Refusal]]) -> list[Any]:
    return [
        pytest.param(call, state, refusal, id=f"{call} - {state}")
        for call, row in table.items()
        for state, refusal in row.items()
    ]


def check(world: World, call: Callable[[], object], refusal: Refusal) -> None:
    """Make a call that is allowed, or that is refused in just this way."""
    if refusal is None:
        call()
    else:
        with refused(*refusal):
            call()
