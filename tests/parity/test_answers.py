"""What each action answers is of the SDK's model, and the list of it is current."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from emulator import ack, api_reference, ecs, parity
from emulator.errors import ApiError
from emulator.parity import ParityError
from emulator.truth import FromDocs, Truth, docs
from tests.emulator.world import World
from tests.parity.scenario import Recorder, live

MODEL = {"Name": "string", "Size": "integer", "Tags": {"Tag": [{"Key": "string"}]}, "On": "boolean"}
TRUTH = Truth(FromDocs("https://example.org"), docs(404, "Known"))
MODELS = {**dict.fromkeys(ecs.ACTIONS, ecs.MODEL), **dict.fromkeys(ack.ACTIONS, ack.MODEL)}


async def test_the_list_of_answers_is_current(tmp_path: Path) -> None:
    world = Recorder(tmp_path)
    await live(world)
    await world.cloud.close()
    if os.environ.get("UPDATE_ANSWERS") == "1":
        api_reference.ANSWERS.write_text(json.dumps(world.answered(), indent=1) + "\n")
    told = f"{api_reference.ANSWERS} is stale: run make docs"
    assert json.loads(api_reference.ANSWERS.read_text()) == world.answered(), told


@pytest.mark.parametrize("action", sorted(MODELS))
def test_the_sdk_knows_every_path_that_is_listed(action: str) -> None:
    listed = json.loads(api_reference.ANSWERS.read_text())[action]
    known = list(api_reference.model_paths(MODELS[action].answer(action)))
    # A list or an object that was never filled is listed as such.
    unknown = [path for path in listed if not any(each.startswith(path) for each in known)]
    assert not unknown


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"Nmae": "x"}, "the SDK has no Nmae"),
        ({"Name": 1}, "Name is 1, not of type string"),
        ({"Name": None}, "Name is None, not of type string"),
        ({"Size": True}, "Size is True, not of type integer"),
        ({"Size": "1"}, "Size is '1', not of type integer"),
        ({"On": 1}, "On is 1, not of type boolean"),
        ({"Tags": []}, "Tags is [], not an object"),
        ({"Tags": {"Tag": {}}}, "Tags.Tag is {}, not a list"),
        ({"Tags": {"Tag": [{"Key": 1}]}}, "Tags.Tag[].Key is 1, not of type string"),
    ],
    ids=str,
)
def test_an_answer_that_the_sdk_cannot_read_is_found(body: dict[str, Any], problem: str) -> None:
    assert list(parity.mismatches(MODEL, body)) == [problem]
    with pytest.raises(ParityError, match="cannot read"):
        parity.checked("Some", TRUTH, MODEL, lambda: body)


def test_an_answer_of_the_model_is_none_of_that() -> None:
    body = {"Name": "x", "Size": 1, "On": True, "Tags": {"Tag": [{"Key": "k"}]}}
    assert parity.checked("Some", TRUTH, MODEL, lambda: body) == body


def raising(status: int, code: str) -> Any:
    def call() -> dict[str, Any]:
        raise ApiError(status, code, "no")

    return call


@pytest.mark.parametrize(
    ("status", "code"), [(404, "Unknown"), (400, "Known")], ids=["code", "status"]
)
def test_an_error_that_is_not_declared_is_a_failure_in_tests(status: int, code: str) -> None:
    with pytest.raises(ParityError, match=f"{status} {code}"):
        parity.checked("Some", TRUTH, MODEL, raising(status, code))


def test_outside_of_tests_the_caller_gets_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parity.SWITCH)
    with pytest.raises(ApiError):
        parity.checked("Some", TRUTH, MODEL, raising(404, "Unknown"))


async def test_all_tests_are_strict(tmp_path: Path) -> None:
    assert parity.is_strict()
    world = World(tmp_path)
    with pytest.raises(ApiError):
        world.ecs("DeleteDisk", DiskId="d-unknown")
    await world.cloud.close()
