"""All states and delays of the cloud run on the clock that a test can move, on no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

EMULATOR = Path(__file__).parents[2] / "emulator"
# clock.py *is* the clock. signing.py has real time on purpose: moving the cloud's clock must not
# lock its clients out. The others make no state of the two APIs.
ON_THE_CLOCK = [
    *sorted((EMULATOR / "ecs").glob("*.py")),
    *sorted((EMULATOR / "ack").glob("*.py")),
    *sorted((EMULATOR / "metering").glob("*.py")),
    *(EMULATOR / name for name in ("cloud.py", "shelf.py", "stuck.py", "tokens.py", "seed.py")),
]
WALL_CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
    ("time", "sleep"),
    ("asyncio", "sleep"),
    ("asyncio", "wait_for"),
    ("asyncio", "timeout"),
    ("loop", "call_later"),
}


def wall_clocks(source: str) -> list[str]:
    """Return where a source reads or waits on real time: by attribute, or by an imported name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if (name, node.attr) in WALL_CLOCKS:
                found.append(f"line {node.lineno}: {name}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            found += [
                f"line {node.lineno}: from {node.module} import {each.name}"
                for each in node.names
                if (node.module, each.name) in WALL_CLOCKS
            ]
    return found


@pytest.mark.parametrize("path", ON_THE_CLOCK, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_reads_or_waits_on_real_time(path: Path) -> None:
    assert wall_clocks(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "import time\ntime.time()",
        "from time import monotonic",
        "from asyncio import sleep",
        "async def f():\n    await asyncio.sleep(1)",
    ],
)
def test_the_search_finds_each_way_to_real_time(source: str) -> None:
    assert wall_clocks(source)


def test_the_search_lets_the_clouds_own_clock_pass() -> None:
    assert wall_clocks("cloud.now()\ncloud.clock.sleep(1)\ncloud.clock.now()") == []
