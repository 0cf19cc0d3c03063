"""Whatever is sent is answered or refused, what is refused changes nothing, and no call that is
malformed is accepted: 2,250 signed calls through the whole front.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from emulator import ack, ecs
from emulator.params import leaves
from tests.emulator.fuzz_line import ACK, ECS, Line, Wire, fuzz_line
from tests.emulator.fuzz_mutations import Draft, empty_leaves, mutations
from tests.emulator.fuzz_valid_ack import MAKERS  # with those of ECS

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("FUZZ_SEED", "20261125"))
ACTIONS = [*sorted(ecs.ACTIONS), *sorted(ack.ACTIONS)]
EXAMPLES, MUTATIONS_EACH = 5, 8
MALFORMED, RANDOM = EXAMPLES * MUTATIONS_EACH, 35  # calls for each action
GOAL = 2000

WORDS = ("", "0", "1", "-1", "true", "None", "[]", '["x"]', "{}", "cn-hangzhou", "x" * 300, "é\x00")
ODD = ("9" * 5000, "*a" * 20 + "b", "%", "\ud7ff", "2026-1-1T1:1:1Z", "https://x", "a.b.1")
VALUES = st.sampled_from(WORDS + ODD) | st.text(max_size=40) | st.integers().map(str)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


def fuzz(examples: int) -> settings:
    # The world goes on from example to example: a failure cannot be shrunk or kept.
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    sys.stderr.write(f"FUZZ_SEED={SEED}\n")  # shown when a test fails
    with fuzz_line(tmp_path) as opened:
        yield opened


def test_the_calls_are_two_thousand() -> None:
    assert set(MAKERS) == set(ACTIONS), "every emulated action has a valid call"
    assert len(ACTIONS) * (MALFORMED + RANDOM) >= GOAL


def accepted(line: Line, wire: Wire) -> None:
    answer = line.send(wire)
    assert answer.status == 200, f"the call before its mutation: {wire}: {answer.body}"


@pytest.mark.parametrize("action", ACTIONS)
def test_no_malformed_call_is_accepted(line: Line, action: str) -> None:
    refused = 0

    @seed(SEED)
    @fuzz(EXAMPLES)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal refused
        line.run(line.world.settle())
        valid = line.run(MAKERS[action](line.world))
        chosen = data.draw(st.sets(st.sampled_from(sorted(valid.extras)))) if valid.extras else ()
        draft = Draft(valid, {name: valid.extras[name] for name in with_whole_tags(chosen)})
        kinds = sorted(mutations(draft).items())
        for number in range(MUTATIONS_EACH):
            kind, wrong = kinds[number % len(kinds)]
            mutation = data.draw(st.sampled_from(wrong))
            answer = line.send(mutation.wire)
            told = f"{action}: {kind}: {mutation.what}: {answer.status} {answer.body}"
            assert 400 <= answer.status < 500, told
            assert answer.code.startswith(mutation.codes), told
            refused += 1
        accepted(line, draft.sent())

    check()
    assert refused >= MALFORMED
    line.run(line.world.settle())


@pytest.mark.parametrize("action", ACTIONS)
def test_an_empty_leaf_is_answered_or_refused(line: Line, action: str) -> None:
    valid = line.run(MAKERS[action](line.world))
    for mutation in empty_leaves(Draft(valid, {})):
        answer = line.send(mutation.wire)  # which refuses any HTTP 5xx
        assert answer.status == 200 or answer.code, mutation.what
    line.run(line.world.settle())


def with_whole_tags(names: Iterable[str]) -> set[str]:
    """Return the names with both parts of each tag that has one of them there."""
    tags = {name.rpartition(".")[0] for name in names if name.startswith("Tag.")}
    return {*names, *(f"{tag}.{part}" for tag in tags for part in ("Key", "Value"))}


def flat_names(action: str) -> st.SearchStrategy[str]:
    """Return names that the action's model has, with list indexes, and some that it has not."""
    names = sorted(leaves(ecs.MODEL.fields(action)))
    numbered = [name.replace(".", ".1.", 1) for name in names if "." in name]
    return st.sampled_from([*names, *numbered, *(f"{name}.1" for name in names), "Nonsense"])


def bodies() -> st.SearchStrategy[Any]:
    """Return values for the parts of a body: any JSON, and objects with the API's own names."""
    fields = ack.MODEL.fields("CreateClusterNodePool")
    names = [name for part in fields.values() if isinstance(part, dict) for name in part]
    return JSON | st.dictionaries(st.sampled_from(sorted(names)), JSON, max_size=4)


@pytest.mark.parametrize("action", sorted(ecs.ACTIONS))
def test_ecs_answers_or_refuses(line: Line, action: str) -> None:
    valid = line.run(MAKERS[action](line.world))

    @seed(SEED)
    @fuzz(RANDOM)
    @given(st.dictionaries(flat_names(action), VALUES, max_size=6), st.booleans())
    def check(params: dict[str, str], from_valid: bool) -> None:
        base = valid.query if from_valid else {}
        line.send(Wire(action, ECS).with_query(base | params))

    check()
    assert line.sent >= RANDOM
    line.run(line.world.settle())


@pytest.mark.parametrize("action", sorted(ack.ACTIONS))
def test_ack_answers_or_refuses(line: Line, action: str) -> None:
    valid = line.run(MAKERS[action](line.world))
    model = ack.MODEL.calls[action]
    names = st.sampled_from(sorted({*model["body"], "scaling_group", "nonsense"}))
    query = st.dictionaries(st.sampled_from(sorted({*model["query"], "x"})), VALUES, max_size=3)
    tails = st.sampled_from(["", "", "", "/", "//", "/x", "%2F", "%00", "/nodes", "/nodepools"])

    @seed(SEED)
    @fuzz(RANDOM)
    @given(st.dictionaries(names, bodies(), max_size=4), query, tails, st.booleans())
    def check(body: dict[str, Any], query: dict[str, str], tail: str, from_valid: bool) -> None:
        base = valid.body or {} if from_valid else {}
        wire = Wire(action, ACK, model["method"], valid.wire.path + tail).with_query(query)
        line.send(wire.with_json(base | body) if base | body else wire)

    check()
    assert line.sent >= RANDOM
    line.run(line.world.settle())
