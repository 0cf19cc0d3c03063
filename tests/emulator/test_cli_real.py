"""``python -m emulator --machines real``: a live node, and what a killed emulator leaves."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from alibabacloud_ecs20140526 import models

from tests.emulator.clients import REGION
from tests.emulator.sdk import ecs_client
from tests.emulator.test_cli import ROOT, command, ready_line, started
from tests.machine.test_scripts import processes

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


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Return a state folder, of which nothing is left on the host when a test fails either."""
    yield tmp_path / "state"
    reaped(tmp_path / "state")


def left_of(facts: dict[str, str]) -> list[str]:
    """Return the host's namespaces that belong to the network of one emulator."""
    number = facts["registry"].split(".")[2]
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return [name for name in names.split() if name.startswith(f"ackp{number}-")]


def left_running(facts: dict[str, Any], instance_id: str) -> str:
    """Have a command of Cloud Assistant run on a node, and return it once it is under way."""
    client, sleep = ecs_client(facts), f"sleep 5000.{os.getpid()}"
    request = models.RunCommandRequest(
        region_id=REGION,
        type="RunShellScript",
        command_content=f"crictl images -q | wc -l; exec {sleep}",
        instance_id=[instance_id],
    )
    invoke_id = client.run_command(request).body.invoke_id
    query = models.DescribeInvocationResultsRequest(
        region_id=REGION, invoke_id=invoke_id, content_encoding="PlainText"
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = client.describe_invocation_results(query).body.invocation.invocation_results
        if (output := found.invocation_result[0].output) and processes(sleep):
            assert int(output) > 0
            return sleep
        time.sleep(0.05)
    raise AssertionError(found)


def test_a_killed_emulator_is_cleared_away_by_its_state_folder(state: Path) -> None:
    arguments = ("--machines", "real", "--state", str(state), "--set", "content_scale=0.01")
    with started(*arguments) as process:
        facts = ready_line(process)
        assert facts["machines"] == "real"
        resources = requests.get(f"{facts['control_url']}/state", timeout=5).json()["resources"]
        nodes = [each for each in resources if each["kind"] == "node"]
        assert [node["node_status"] for node in nodes] == ["Ready"]
        assert left_of(facts)
        script = left_running(facts, nodes[0]["instance_id"])
        process.kill()
        process.wait(10)
    assert any("network" in line for line in reaped(state))
    assert left_of(facts) == []
    assert processes(script) == []
    assert reaped(state) == []
