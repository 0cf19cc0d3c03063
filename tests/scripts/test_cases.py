"""Each folder here with a ``run.sh`` is a case: run on a paper machine, its output compared.

``stdin``, when there, is fed to the case; ``expected`` is its stdout and stderr as one text, with
machine folder, registry, moments and long digests replaced. ``apt`` marks a machine with apt.
To accept new output: ``UPDATE_CASES=1 pytest tests/scripts/test_cases.py``, and read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.scripts.conftest import HERE, Lab

pytestmark = pytest.mark.slow  # every tool of a script is a process of its own

CASES = sorted(path.parent for path in HERE.glob("*/run.sh"))


def settled(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", text)
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1..", text)


@pytest.mark.parametrize(
    ("case", "packages"),
    [pytest.param(c, "apt" if (c / "apt").exists() else "yum", id=c.name) for c in CASES],
    indirect=["packages"],
)
async def test_case(case: Path, lab: Lab) -> None:
    stdin = (case / "stdin").read_bytes() if (case / "stdin").exists() else b""
    command = f"{lab.told()}; source {HERE / 'prelude.sh'}; source {case / 'run.sh'}"
    _, output = await lab.run(command, stdin)
    expected = case / "expected"
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(settled(output))
    assert settled(output) == expected.read_text()
