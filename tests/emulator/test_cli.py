"""``python -m emulator`` as a process: its line, its end, its refusals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
QUICK = [
    f"--set={name}=0"
    for name in (
        "instance_boot_s",
        "agent_boot_s",
        "kubelet_registration_s",
        "task_step_s",
        "paper_kubelet_package_s",
        "paper_image_s",
    )
]
KEYS = {
    "ecs_endpoint",
    "cs_endpoint",
    "kube_url",
    "registry",
    "packages_url",
    "control_url",
    "region_id",
    "access_key_id",
    "access_key_secret",
    "cluster_id",
    "node_pool_id",
    "ssh_user",
    "ssh_port",
    "ssh_private_key_file",
    "kube_ca_file",
    "machines",
    "zone_id",
    "vswitch_id",
    "security_group_id",
    "instance_type",
    "image_id",
    "simulated",
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "emulator", *arguments]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    facts: dict[str, Any] = json.loads(process.stdout.readline())
    return facts


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_serves_and_ends_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started("--state", str(tmp_path / "s"), *QUICK) as process:
        facts = ready_line(process)
        assert set(facts) >= KEYS
        key = Path(facts["ssh_private_key_file"])
        assert key.stat().st_mode & 0o777 == 0o600
        state = requests.get(f"{facts['control_url']}/state", timeout=5).json()
        nodes = [each for each in state["resources"] if each["kind"] == "node"]
        assert [node["node_status"] for node in nodes] == ["Ready"]
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    with socket.socket() as probe:
        host, _, port = facts["ecs_endpoint"].partition(":")
        assert probe.connect_ex((host, int(port))) != 0


@pytest.mark.slow
def test_a_signal_during_the_start_is_obeyed(tmp_path: Path) -> None:
    with started("--state", str(tmp_path), "--set=instance_boot_s=500") as process:
        while not list(tmp_path.glob("kube/kube-apiserver.key")):
            assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.slow
def test_an_empty_account_has_a_cluster_without_pools(tmp_path: Path) -> None:
    with started("--state", str(tmp_path), "--seed", "empty") as process:
        facts = ready_line(process)
        assert facts["node_pool_id"] == ""
        state = requests.get(f"{facts['control_url']}/state", timeout=5).json()
        assert [each["kind"] for each in state["resources"]] == ["cluster"]


@pytest.mark.slow
def test_a_taken_port_is_named_and_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            command("--state", str(tmp_path), "--port", port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "x"], "--port"),
        (["--port", "70000"], "--port"),
        (["--machines", "iron"], "--machines"),
        (["--seed", "apple"], "--seed"),
        (["--set", "speed=1"], "no setting 'speed'"),
        (["--set", "instance_boot_s=soon"], "takes a float"),
        (["--set", "instance_boot_s=-1"], "cannot be negative"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = subprocess.run(
        command("--state", str(tmp_path), *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


@pytest.mark.slow
def test_reaping_where_nothing_was_is_no_error(tmp_path: Path) -> None:
    ended = subprocess.run(
        command("--state", str(tmp_path / "never"), "--reap"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "")
