"""The reference pages say what the code says."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.dags.conftest import DAGS


def test_the_reference_pages_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/reference/generate.py", "--check"],
        cwd=DAGS.parent,
        env=os.environ | {"PYTHONPATH": "include"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr.splitlines()[-1]
