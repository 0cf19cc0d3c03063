"""Each action says what is known of it, and declares every error that it has, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator import ack, ecs
from emulator.truth import NO_SOURCE, FromDocs, Recorded, Truth

RECORDED = Path(__file__).parent / "recorded"
EMULATOR = Path(ecs.__file__).parents[1]
TRUTHS: dict[str, Truth] = {
    name: action.truth for table in (ecs.ACTIONS, ack.ACTIONS) for name, action in table.items()
}
KINDS = ("docs", "recorded", "terraform", "public issues", "the SDK's docstring", NO_SOURCE)
CALLS = {name: [action.call] for name, action in ecs.ACTIONS.items()} | {
    name: [action.query, action.body] for name, action in ack.ACTIONS.items()
}


def written_codes() -> set[str]:
    """Return every text in the code of the local cloud that looks like an error code."""
    files = [
        path for path in EMULATOR.glob("**/*.py") if path.name not in ("truths.py", "truth.py")
    ]
    return set(re.findall(r'"([A-Z][\w.]+)"', "\n".join(path.read_text() for path in files)))


@pytest.mark.parametrize("action", sorted(TRUTHS))
def test_every_action_has_a_source(action: str) -> None:
    source = TRUTHS[action].source
    if isinstance(source, Recorded):
        assert (RECORDED / source.file).is_file()
    else:
        assert isinstance(source, FromDocs)
        assert re.fullmatch(r"https://www\.alibabacloud\.com/help/en/[\w./-]+", source.url)
        assert source.url.endswith(f"-{action.lower()}")


@pytest.mark.parametrize("action", sorted(TRUTHS))
def test_the_errors_of_the_rules_are_declared_with_their_status(action: str) -> None:
    rules = [rule for call in CALLS[action] for rule in call.rules.values()]
    missing = {
        (rule.status, rule.code) for rule in rules if not TRUTHS[action].has(rule.status, rule.code)
    }
    assert not missing, f"declare in truths.py, with their source: {missing}"


def test_no_error_is_declared_that_the_code_does_not_have() -> None:
    declared = {refusal.code for truth in TRUTHS.values() for refusal in truth.refusals}
    assert not declared - written_codes()


@pytest.mark.parametrize("action", sorted(TRUTHS))
def test_every_error_names_its_source_once(action: str) -> None:
    refusals = TRUTHS[action].refusals
    assert len({(each.status, each.code) for each in refusals}) == len(refusals)
    for each in refusals:
        assert each.source.startswith(KINDS)
