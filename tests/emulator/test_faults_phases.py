"""Which of several faults strikes a call, and what becomes of a call that is refused anyway."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from emulator.app import Handle
from emulator.faults import (
    EmptyBody,
    Fault,
    Faults,
    ResetAfter,
    ResetBefore,
    ServerError,
    Slow,
    Throttle,
)
from emulator.faults.answers import Trouble
from tests.emulator.signer import call, encoded

REGIONS = "DescribeRegions"
REFUSED = "DescribeDisks"  # without a RegionId
SLOW_S = 0.3


def outcomes(handle: Handle, action: str, count: int) -> list[Any]:
    """Return what each of some calls got: a code, a status or "cut"."""
    got: list[Any] = []
    for _ in range(count):
        try:
            answer = call(handle.facts, action)
        except requests.ConnectionError:
            got.append("cut")
        else:
            got.append(answer.json().get("Code", 200) if answer.content else "empty")
    return got


def counts(handle: Handle) -> list[tuple[int, int]]:
    return [(armed.seen, armed.struck) for armed in handle.faults.armed()]


def last_line(handle: Handle) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(
        (handle.state_dir / "requests.jsonl").read_text().splitlines()[-1]
    )
    return line


@pytest.mark.parametrize(
    ("faults", "got"),
    [
        pytest.param(
            [ResetBefore(), ServerError(), Throttle()],
            ["cut", "ServiceUnavailable", "Throttling.User", 200],
            id="before",
        ),
        pytest.param(
            [EmptyBody(), ResetAfter(), ServerError(after=True)],
            ["empty", "cut", "ServiceUnavailable", 200],
            id="after",
        ),
        pytest.param(
            [ResetBefore(nth=2), Throttle(times=2)],
            ["Throttling.User", "cut", "Throttling.User", 200],
            id="not due yet",
        ),
    ],
)
def test_of_several_kinds_the_first_armed_strikes(
    cloud_handle: Handle, faults: list[Fault], got: list[Any]
) -> None:
    for fault in faults:
        cloud_handle.faults.add(fault)
    assert outcomes(cloud_handle, REGIONS, 4) == got
    assert [struck for _, struck in counts(cloud_handle)] == [each.times for each in faults]


def test_a_call_counts_for_one_fault_of_a_phase(cloud_handle: Handle) -> None:
    for fault in (ResetBefore(), Throttle(nth=2), EmptyBody(), Slow(seconds=0.01, nth=4)):
        cloud_handle.faults.add(fault)
    got = outcomes(cloud_handle, REGIONS, 4)
    # The cut call is none of the throttle's; neither of the two struck ones is the empty body's.
    assert got == ["cut", "empty", "Throttling.User", 200]
    assert counts(cloud_handle) == [(1, 1), (2, 1), (1, 1), (4, 1)]


@pytest.mark.parametrize(
    "other",
    [ServerError(after=True), ServerError(), EmptyBody()],
    ids=["error after", "error before", "empty body"],
)
def test_an_answer_is_slow_whatever_else_strikes(cloud_handle: Handle, other: Fault) -> None:
    cloud_handle.faults.add(other)
    cloud_handle.faults.add(Slow(seconds=SLOW_S))
    started = time.monotonic()
    (got,) = outcomes(cloud_handle, REGIONS, 1)
    assert time.monotonic() - started >= SLOW_S
    assert got in {"ServiceUnavailable", "empty"}
    assert counts(cloud_handle) == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("fault", "got", "status"),
    [
        pytest.param(ServerError(after=True, nth=2), "ServiceUnavailable", 503, id="error after"),
        pytest.param(ResetAfter(nth=2), "cut", 400, id="reset after"),
        pytest.param(EmptyBody(nth=2), "empty", 400, id="empty body"),
    ],
)
def test_the_answer_of_a_refusal_is_lost_as_any_other(
    cloud_handle: Handle, fault: Fault, got: str, status: int
) -> None:
    cloud_handle.faults.add(fault)
    refusal = "MissingParameter"
    assert outcomes(cloud_handle, REFUSED, 2) == [refusal, got]
    line = last_line(cloud_handle)
    assert (line["status"], line["faults"]) == (status, [{"id": "f-1", "kind": fault.kind}])
    assert outcomes(cloud_handle, REFUSED, 1) == [refusal]


def test_a_refusal_without_a_body_keeps_its_status(cloud_handle: Handle) -> None:
    with cloud_handle.fault(EmptyBody(target=REFUSED)):
        answer = call(cloud_handle.facts, REFUSED)
    assert (answer.status_code, answer.content) == (400, b"")


def test_a_refusal_comes_late(cloud_handle: Handle) -> None:
    with cloud_handle.fault(Slow(target=REFUSED, seconds=SLOW_S)):
        started = time.monotonic()
        assert outcomes(cloud_handle, REFUSED, 1) == ["MissingParameter"]
        assert time.monotonic() - started >= SLOW_S


@pytest.mark.parametrize(
    "fault",
    [Throttle(), ServerError(), ServerError(after=True), EmptyBody(), Slow(seconds=0.01)],
    ids=["throttle", "error before", "error after", "empty body", "slow"],
)
def test_an_action_that_is_not_emulated_meets_no_fault(cloud_handle: Handle, fault: Fault) -> None:
    cloud_handle.faults.add(fault)
    got = outcomes(cloud_handle, "DescribeNothing", 1) + outcomes(cloud_handle, "CreateVpc", 1)
    assert got == ["InvalidAction.NotFound", "EmulatorUnsupported"]
    assert counts(cloud_handle) == [(0, 0)]


def order(handle: Handle, token: str, where: str, **changes: str) -> requests.Response:
    facts = handle.facts
    params = {
        "RegionId": facts["region_id"],
        "ImageId": facts["image_id"],
        "InstanceType": facts["instance_type"],
        "VSwitchId": facts["vswitch_id"],
        "SecurityGroupId": facts["security_group_id"],
        "ClientToken": token,
        **changes,
    }
    if where == "query":
        return call(facts, "RunInstances", params)
    form = {"content-type": "application/x-www-form-urlencoded"}
    return call(facts, "RunInstances", body=encoded(params).encode(), headers=form)


def until_struck(handle: Handle, which: int) -> None:
    deadline = time.monotonic() + 5
    while not handle.faults.armed()[which].struck:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("where", ["query", "form"])
def test_a_token_is_in_flight_wherever_the_call_carries_it(
    cloud_handle: Handle, where: str
) -> None:
    cloud_handle.faults.add(Slow(target="RunInstances", seconds=1))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(order, cloud_handle, "twice", where)
        until_struck(cloud_handle, 0)
        again = order(cloud_handle, "twice", where)
        assert not first.done()
        assert (again.status_code, again.json()["Code"]) == (403, "IdempotentProcessing")
        answered = first.result().json()
    ids = order(cloud_handle, "twice", where).json()["InstanceIdSets"]
    assert ids == answered["InstanceIdSets"]


def test_a_slow_refusal_of_another_call_leaves_a_token_free(cloud_handle: Handle) -> None:
    ids = order(cloud_handle, "used", "query").json()["InstanceIdSets"]
    cloud_handle.faults.add(Slow(target="RunInstances", seconds=1))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(order, cloud_handle, "used", "query", InstanceName="other")
        until_struck(cloud_handle, 0)
        assert order(cloud_handle, "used", "query").json()["InstanceIdSets"] == ids
        assert not other.done()
        assert other.result().json()["Code"] == "IdempotentParameterMismatch"


def test_a_fault_that_is_gone_since_it_struck_is_named_all_the_same() -> None:
    faults = Faults()
    faults.add(Throttle(target="RunInstances"))
    trouble = Trouble()
    assert trouble.before(faults, "RunInstances")
    faults.clear()
    assert trouble.named() == [{"id": "f-1", "kind": "throttle"}]
