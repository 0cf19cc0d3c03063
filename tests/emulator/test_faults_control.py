"""Faults are armed, listed and removed from outside, and a wrong one is explained."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

import emulator.__main__ as command
from emulator.ack.resources import PoolState
from emulator.app import Handle
from emulator.ecs.resources import DiskStatus, InstanceStatus, SnapshotStatus
from emulator.fault_control import described
from emulator.faults import FaultError, Faults, Throttle
from emulator.faults.engine import FaultFailedError
from emulator.faults.kinds import KINDS
from emulator.faults.reference import PAGE, page
from emulator.lifetime import Emulator, Options
from emulator.machines.base import MachineError
from tests.emulator.signer import call
from tests.emulator.test_cli import QUICK, ready_line, started


def route(handle: Handle, rest: str = "") -> str:
    return f"{handle.facts['control_url']}/faults{rest}"


def test_a_fault_is_armed_listed_and_removed(cloud_handle: Handle) -> None:
    added = requests.post(
        route(cloud_handle), json={"kind": "throttle", "target": "DescribeRegions"}, timeout=10
    )
    assert (added.status_code, added.json()) == (201, {"id": "f-1"})
    assert call(cloud_handle.facts, "DescribeRegions").json()["Code"] == "Throttling.User"
    (shown,) = requests.get(route(cloud_handle), timeout=10).json()["faults"]
    assert (shown["id"], shown["kind"], shown["seen"], shown["struck"]) == ("f-1", "throttle", 1, 1)
    assert requests.delete(route(cloud_handle, "/f-1"), timeout=10).status_code == 200
    assert requests.get(route(cloud_handle), timeout=10).json() == {"faults": []}
    gone = requests.delete(route(cloud_handle, "/f-1"), timeout=10)
    assert (gone.status_code, gone.json()["message"]) == (404, "no fault 'f-1'; armed: none")


def test_all_faults_are_removed_at_once(cloud_handle: Handle) -> None:
    for _ in range(3):
        requests.post(route(cloud_handle), json={"kind": "throttle"}, timeout=10)
    assert requests.delete(route(cloud_handle), timeout=10).json() == {"faults": []}
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


@pytest.mark.parametrize(
    ("description", "words"),
    [
        pytest.param({"kind": "throtle"}, "throttle", id="unknown kind"),
        pytest.param({}, "kind", id="no kind"),
        pytest.param({"kind": "slow"}, "slow.seconds: Field required", id="missing field"),
        pytest.param({"kind": "slow", "seconds": "1"}, "slow.seconds", id="text for a number"),
        pytest.param({"kind": "throttle", "nth": 0}, "throttle.nth", id="occasion zero"),
        pytest.param(
            {"kind": "throttle", "often": 2}, "fields: kind, target, nth, times", id="unknown field"
        ),
        pytest.param({"kind": "throttle", "status": 404}, "throttle.status", id="other status"),
        pytest.param(
            {"kind": "throttle", "target": "RunInstance"}, "RunInstances", id="unknown action"
        ),
        pytest.param(
            {"kind": "stuck", "resource": "instance", "state": "Runing"},
            "stuck.state: no state that instance leaves by itself; it has Pending, Starting, "
            "Stopping, not 'Runing'",
            id="no state",
        ),
        pytest.param(
            {"kind": "stuck", "resource": "snapshot", "state": "Creating"},
            "stuck.state: .* it has progressing, not 'Creating'",
            id="state of another resource",
        ),
        pytest.param(
            {"kind": "stuck", "resource": "image", "state": "Creating"},
            "stuck.resource",
            id="no resource",
        ),
        pytest.param([], "the fault", id="a list"),
        pytest.param(None, "the fault", id="null"),
    ],
)
def test_a_wrong_fault_is_explained(description: Any, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        described(description)


@pytest.mark.parametrize(
    ("resource", "states", "settled"),
    [
        ("instance", InstanceStatus, {"Running", "Stopped"}),
        ("disk", DiskStatus, {"In_use", "Available"}),
        ("snapshot", SnapshotStatus, {"accomplished", "failed"}),
        ("node_pool", PoolState, {"active"}),
    ],
    ids=["instance", "disk", "snapshot", "node pool"],
)
def test_a_resource_can_be_stuck_in_each_state_that_does_not_last(
    resource: str, states: type[StrEnum], settled: set[str]
) -> None:
    accepted = set()
    for state in states:
        with contextlib.suppress(FaultError):
            described({"kind": "stuck", "resource": resource, "state": state.value})
            accepted.add(state.value)
    assert accepted == {state.value for state in states} - settled
    described({"kind": "stuck", "resource": resource, "state": "*in[gi]*"})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=str)
def test_what_is_no_json_is_refused(cloud_handle: Handle, body: bytes) -> None:
    answer = requests.post(route(cloud_handle), data=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("a fault is a JSON object")


def test_a_wrong_fault_on_the_command_line_ends_the_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emulator", "--state", tmp_path, "--fault", '{"kind":"slow"}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "slow.seconds: Field required" in done.stderr


def test_faults_of_the_command_line_strike_calls_and_not_the_seed(tmp_path: Path) -> None:
    faults = ({"kind": "node_error", "times": 0}, {"kind": "throttle", "target": "DescribeRegions"})
    arguments = [f"--fault={json.dumps(fault)}" for fault in faults]
    with started("--state", str(tmp_path), *QUICK, *arguments) as process:
        facts = ready_line(process)
        listed = requests.get(f"{facts['control_url']}/faults", timeout=10).json()["faults"]
        assert [(each["id"], each["seen"]) for each in listed] == [("f-1", 0), ("f-2", 0)]
        assert call(facts, "DescribeRegions").json()["Code"] == "Throttling.User"


class NoEnvironment:
    """What a fault needs to have in place, and cannot get."""

    def __init__(self) -> None:
        self.is_broken = True

    def update(self) -> None:
        if self.is_broken:
            raise MachineError("sshd of i-1 does not listen again")


SAID = "NoEnvironment.update: sshd of i-1 does not listen again"


@pytest.mark.parametrize(
    ("method", "rest"),
    [("POST", ""), ("DELETE", "/f-1"), ("DELETE", "")],
    ids=["armed", "removed", "all removed"],
)
def test_other_calls_are_answered_while_a_fault_is_put_in_place(
    cloud_handle: Handle, method: str, rest: str
) -> None:
    cloud_handle.faults.add(Throttle(target="DescribeImages"))
    begun, done = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert done.wait(10)

    cloud_handle.faults.watch(slow)
    with ThreadPoolExecutor(1) as pool:
        body = {"kind": "throttle", "target": "DescribeImages"}
        changing = pool.submit(
            requests.request, method, route(cloud_handle, rest), json=body, timeout=20
        )
        try:
            assert begun.wait(10)
            answer = requests.get(route(cloud_handle), timeout=5)
            assert call(cloud_handle.facts, "DescribeRegions").status_code == 200
        finally:
            done.set()
        assert changing.result().ok
    assert len(answer.json()["faults"]) == (2 if method == "POST" else 0)


def test_a_fault_that_cannot_be_put_in_place_is_not_armed(cloud_handle: Handle) -> None:
    told: list[int] = []
    environment = NoEnvironment()
    cloud_handle.faults.watch(environment.update)
    cloud_handle.faults.watch(lambda: told.append(len(cloud_handle.faults.armed())))
    answer = requests.post(route(cloud_handle), json={"kind": "ssh_refused"}, timeout=10)
    assert answer.status_code == 500
    assert answer.json() == {"message": f"ssh_refused is not armed: {SAID}"}
    assert requests.get(route(cloud_handle), timeout=10).json() == {"faults": []}
    assert told == [1, 0], "the others put theirs in place, and took it away"


@pytest.mark.parametrize("rest", ["/f-1", ""], ids=["one", "all"])
def test_a_fault_whose_effects_stay_is_disarmed_and_named(cloud_handle: Handle, rest: str) -> None:
    told: list[int] = []
    cloud_handle.faults.add(Throttle())
    cloud_handle.faults.watch(NoEnvironment().update)
    cloud_handle.faults.watch(lambda: told.append(len(cloud_handle.faults.armed())))
    answer = requests.delete(route(cloud_handle, rest), timeout=10)
    assert answer.status_code == 500
    assert answer.json() == {"message": f"disarmed, but its effects may last: {SAID}"}
    assert (cloud_handle.faults.armed(), told) == ([], [0])


def test_a_fault_is_armed_once_its_environment_is_mended() -> None:
    faults, environment = Faults(), NoEnvironment()
    faults.watch(environment.update)
    with pytest.raises(FaultFailedError, match="throttle is not armed"):
        faults.add(Throttle())
    environment.is_broken = False
    faults.add(Throttle())
    assert faults.strike(Throttle, "DescribeRegions")


def test_a_fault_of_the_command_line_that_fails_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Emulator):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            self.faults.watch(NoEnvironment().update)

    monkeypatch.setattr(command, "Emulator", Broken)
    fault = json.dumps({"kind": "ssh_refused"})
    assert command.main(["--state", str(tmp_path), "--seed=empty", f"--fault={fault}"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"the local cloud did not start: ssh_refused is not armed: {SAID}" in err


def test_every_kind_says_what_it_does_and_what_it_strikes() -> None:
    for kind in KINDS:
        assert kind.__doc__
        assert "Target:" in kind.__doc__


def test_a_fault_that_is_armed_twice_is_two(cloud_handle: Handle) -> None:
    fault = Throttle(target="DescribeRegions")
    for _ in range(2):
        cloud_handle.faults.add(fault)
    for _ in range(2):
        assert call(cloud_handle.facts, "DescribeRegions").json()["Code"] == "Throttling.User"
    lines = (cloud_handle.state_dir / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["faults"][0]["id"] for line in lines] == ["f-1", "f-2"]


def test_the_schema_of_kinds_tells_what_is_accepted(cloud_handle: Handle) -> None:
    schema = requests.get(route(cloud_handle, "/kinds"), timeout=10).json()
    assert set(schema["discriminator"]["mapping"]) == {
        kind.model_fields["kind"].default for kind in KINDS
    }
    check = jsonschema.Draft202012Validator(schema)
    for good in ({"kind": "slow", "seconds": 1}, {"kind": "stuck", "resource": "disk"}):
        assert check.is_valid(good)
        described(good)
    for bad in ({"kind": "slow"}, {"kind": "slow", "seconds": 0}, {"kind": "no"}):
        assert not check.is_valid(bad)
        with pytest.raises(FaultError):
            described(bad)


def test_faults_of_one_kind_count_their_own_occasions() -> None:
    faults = Faults()
    faults.add(Throttle(target="A*", nth=2))
    faults.add(Throttle(target="*B", times=0))
    struck = [bool(faults.strike(Throttle, name)) for name in ("AA", "BB", "AA", "AA", "BB")]
    assert struck == [False, True, True, False, True]


def test_the_page_of_faults_is_current() -> None:
    assert PAGE.read_text() == page(), "run make docs"
