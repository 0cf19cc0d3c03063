"""Answers of the real cloud, kept to compare the local cloud's with.

``python -m tests.parity.record`` makes one; none is ever written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator import ack, api_reference, ecs, parity
from emulator.truth import Truth

FOLDER = Path(__file__).parent / "recorded"
MAX_TEXT = 64  # longer ones, such as a kubeconfig, are secrets or no part of a shape
REQUEST_IDS = ("RequestId", "request_id", "requestId")
# Answered in some cases only, here as there.
SOMETIMES = frozenset(
    {
        *("PageNumber", "PageSize", "NextToken", "TotalCount"),
        *("Snapshots.Snapshot[].RetentionDays", "KeyPairs.KeyPair[].PublicKey"),
        *("error.code", "error.message"),
    }
)
MASKS = {
    r"\b\d{1,3}(\.\d{1,3}){3}\b": "<ip>",
    # Ids keep their kind, as in the API's pages: i-bp1f****.
    r"\b(?=[a-z0-9]*\d)([a-z0-9]{4})[a-z0-9]{6,}\b": r"\1****",
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer of the real cloud, without what is the account's own."""

    action: str
    recorded: str  # the day
    client: str  # name and version of the SDK
    status: int
    body: dict[str, Any]


def masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if len(value) > MAX_TEXT:
        return f"<{len(value)} characters>"
    for pattern, mask in MASKS.items():
        value = re.sub(pattern, mask, value)
    return value


def write(folder: Path, recording: Recording) -> Path:
    path = folder / f"{recording.action}-{recording.status}.json"
    path.write_text(json.dumps(asdict(recording), indent=1, ensure_ascii=False) + "\n")
    return path


def read(path: Path) -> Recording:
    return Recording(**json.loads(path.read_text()))


def truth_of(action: str) -> tuple[Truth, Mapping[str, Any]]:
    if action in ecs.ACTIONS:
        return ecs.ACTIONS[action].truth, ecs.MODEL.answer(action)
    return ack.ACTIONS[action].truth, ack.MODEL.answer(action)


def differences(recording: Recording) -> Iterator[str]:
    """Yield where the local cloud is not like the recording."""
    truth, model = truth_of(recording.action)
    body = {name: value for name, value in recording.body.items() if name not in REQUEST_IDS}
    if recording.status >= 400:
        code = str(body.get("Code") or body.get("code"))
        if not truth.has(recording.status, code):
            yield f"the real cloud answers {recording.status} {code}, which is not emulated"
        return
    for problem in parity.mismatches(model, without_nulls(body)):
        if not problem.startswith("the SDK has no"):  # it drops what it does not know
            yield problem
    there = set(parity.paths(body))
    for path in json.loads(api_reference.ANSWERS.read_text())[recording.action]:
        if path in SOMETIMES:
            continue
        parent = path.rpartition(".")[0]
        is_filled = not parent or any(each.startswith(f"{parent}.") for each in there)
        if is_filled and not any(each.startswith(path) for each in there):
            yield f"the local cloud answers {path}, which the real answer has not"


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value
