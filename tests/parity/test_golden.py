"""What our product sends is emulated, and the check of it can fail. The night: tests/dags."""

from __future__ import annotations

import json

import pytest

from emulator import ack, ecs
from emulator.ack.actions import find
from emulator.params import nested
from tests.parity import golden

GOLDEN = [
    pytest.param(action, request, id=f"{action}-{number}")
    for action, requests in golden.kept().items()
    for number, request in enumerate(requests, start=1)
]


def test_the_demo_has_golden_requests_of_both_services() -> None:
    actions = golden.kept().keys()
    assert actions & ecs.ACTIONS.keys()
    assert actions & ack.ACTIONS.keys()
    assert actions <= ecs.ACTIONS.keys() | ack.ACTIONS.keys()


@pytest.mark.parametrize(("action", "request_"), GOLDEN)
def test_every_golden_request_passes_the_check_of_its_parameters(
    action: str, request_: golden.Request
) -> None:
    sent = golden.filled(request_)
    if action in ecs.ACTIONS:
        assert ecs.ACTIONS[action].call.read(nested(sent["query"]), text=True)
        return
    found, _ = find(action, sent["method"], sent["path"].replace(" ", "%20"))
    query = found.query.read(sent["query"], text=True)
    assert query.keys() == sent["query"].keys()
    body = found.body.read(sent["body"] or {}, text=False)
    assert body.keys() == (sent["body"] or {}).keys()


@pytest.mark.parametrize(("action", "request_"), GOLDEN)
def test_a_golden_request_is_its_own_normal_form(action: str, request_: golden.Request) -> None:
    log = json.dumps({"action": action, **golden.filled(request_)})
    assert golden.requests_of(log) == {action: [request_]}


def sent_otherwise(action: str) -> dict[str, list[golden.Request]]:
    """Return the golden requests, one of them with another value."""
    sent = golden.kept()
    changed = {**sent[action][0], "query": {**sent[action][0]["query"], "Amount": "2"}}
    return {**sent, action: [changed]}


@pytest.fixture
def no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(golden.UPDATE, raising=False)


def test_a_changed_request_shows_as_a_diff(no_update: None) -> None:
    assert golden.compare(golden.kept()) == ""
    diff = golden.compare(sent_otherwise("RunInstances"))
    assert "tests/parity/golden/RunInstances.json" in diff
    assert '-   "Amount": "1",' in diff
    assert '+   "Amount": "2",' in diff


def test_a_call_that_is_no_longer_made_and_a_new_one_show_too(no_update: None) -> None:
    sent = golden.kept()
    gone = sent.pop("StopInstance")
    diff = golden.compare({**sent, "RebootInstance": gone})
    assert "StopInstance.json" in diff
    assert "RebootInstance.json" in diff


def test_what_differs_between_nights_does_not_show() -> None:
    def log(instance: str, run: str, moment: str) -> str:
        query = {"InstanceId": instance, "Tag.1.Value": f"x/nightly_demo_{run}", "At": moment}
        return json.dumps(
            {"action": "StopInstance", "method": "POST", "path": "/", "query": query, "body": None}
        )

    one = log("i-bp1a3ab6200000000008", "7a6286165cc3", "2026-11-25T18:39:00Z")
    other = log("i-bp1ffffff00000000010", "000000000000", "2027-01-01T00:00:00Z")
    assert golden.requests_of(one) == golden.requests_of(f"{other}\n{one}\n")
