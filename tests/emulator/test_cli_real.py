"""``python -m emulator --machines real``: a live node, and what a killed emulator leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from tests.emulator.test_cli import ROOT, command, ready_line, started

pytestmark = [pytest.mark.machine, pytest.mark.slow]


def reaped(state: Path) -> list[str]:
    done = subprocess.run(
        command("--state", str(state), "--reap"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


def left_of(facts: dict[str, str]) -> list[str]:
    """Return the host's namespaces that belong to the network of one emulator."""
    number = facts["registry"].split(".")[2]
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return [name for name in names.split() if name.startswith(f"ackp{number}-")]


def test_a_killed_emulator_is_cleared_away_by_its_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    arguments = ("--machines", "real", "--state", str(state), "--set", "content_scale=0.01")
    with started(*arguments) as process:
        facts = ready_line(process)
        assert facts["machines"] == "real"
        resources = requests.get(f"{facts['control_url']}/state", timeout=5).json()["resources"]
        nodes = [each for each in resources if each["kind"] == "node"]
        assert [node["node_status"] for node in nodes] == ["Ready"]
        assert left_of(facts)
        process.kill()
        process.wait(10)
    assert any("network" in line for line in reaped(state))
    assert left_of(facts) == []
    assert reaped(state) == []
