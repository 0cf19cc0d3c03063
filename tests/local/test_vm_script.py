"""The script behind ``make test-vm`` refuses what it cannot do, before it does anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "local" / "test_vm.sh"
REFUSED = 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--limit", "soon"], "--limit soon must be whole seconds"),
        (["--limit"], "--limit needs a value"),
        (["--init", "upstart"], "--init upstart must be systemd or plain"),
        (["--fast"], "unknown argument --fast"),
    ],
    ids=["limit", "no value", "init", "unknown"],
)
def test_a_wrong_argument_is_refused_by_name(arguments: list[str], complaint: str) -> None:
    ended = subprocess.run(
        ["bash", SCRIPT, *arguments], capture_output=True, text=True, check=False
    )

    assert ended.returncode == REFUSED
    assert complaint in ended.stderr
    assert ended.stdout == ""
