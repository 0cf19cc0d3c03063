"""Take away what a local cloud leaves when it could not end in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local.airflow_home import environment
from local.layout import Layout
from local.processes import as_root, is_root, sudo_works

REAP_WITHIN_S = 120


class ReapError(Exception):
    """Something of the local cloud could not be removed."""


def reap(layout: Layout) -> list[str]:
    """Remove what a killed local cloud left: mounts, loop devices, namespaces, cgroups.

    :raises ReapError: with what it printed, when that fails.
    """
    removed = []
    for machines in ("paper", "real"):
        if (state := layout.emulator(machines)).exists():
            removed += reap_state(layout, state, with_root=machines == "real")
    return removed


def reap_state(layout: Layout, state: Path, *, with_root: bool) -> list[str]:
    """Remove what a killed local cloud with that folder left.

    :raises ReapError: with what it printed, when that fails.
    """
    variables = environment(layout, token="")
    command = [sys.executable, "-m", "emulator", "--state", str(state), "--reap"]
    if with_root and not is_root() and sudo_works():
        command = as_root(command, variables)
    ran = subprocess.run(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=REAP_WITHIN_S,
    )
    if ran.returncode != 0:
        raise ReapError(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout.splitlines()
