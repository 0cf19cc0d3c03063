"""``docs/reference/emulated-api.md``: what each action obeys, answers and refuses, and the sources.

``python -m emulator.api_reference`` writes the page again; a test proves that it is current.
What is answered is read from ``answers.json``, which a test keeps: it calls every action.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emulator import ack, ecs
from emulator.params import Call, Rule
from emulator.truth import COMMON, Recorded, Truth

ANSWERS = Path(__file__).parent / "answers.json"
PAGE = Path(__file__).parent.parent / "docs" / "reference" / "emulated-api.md"
HEAD = """\
# What the local cloud emulates

Written by `python -m emulator.api_reference`; do not edit. [emulator.md](../emulator.md) says how
to run it and what it simulates.

How far to trust it: [parity.md](../parity.md). A parameter that is neither obeyed nor refused below
does not exist in the API and is `InvalidParameter`. Refused ones are `EmulatorUnsupported`. Names
and types of answers are those of the SDK's models; what the models have and the local cloud leaves
out is counted and listed. `[]` stands for each element of a list.
"""


def limits(rule: Rule) -> str:
    """Return what a rule demands, in words."""
    parts = ["required"] if rule.required else []
    if rule.one_of:
        parts.append("one of " + ", ".join(f"`{value}`" for value in rule.one_of))
    if rule.not_here:
        parts.append("refused: " + ", ".join(f"`{value}`" for value in rule.not_here))
    if rule.low is not None or rule.high is not None:
        low = "" if rule.low is None else f"{rule.low:g}"
        high = "" if rule.high is None else f"{rule.high:g}"
        parts.append(f"{low}..{high}")
    if rule.pattern or rule.check:
        parts.append("checked for its form")
    if rule.code != "InvalidParameter":
        parts.append(f"else {rule.status} `{rule.code}`")
    return "; ".join(parts)


def parameter_lines(route: str, calls: list[Call]) -> Iterator[str]:
    rules = {path: rule for call in calls for path, rule in call.rules.items()}
    refused = [path for call in calls for path in call.not_emulated()]
    if rules:
        yield "| obeyed | limits |"
        yield "|---|---|"
        yield from (f"| `{path}` | {limits(rule)} |" for path, rule in sorted(rules.items()))
        yield ""
    else:
        yield "No parameters but those of the path.\n" if route else "No parameters.\n"
    if refused:
        yield "Refused: " + listed(refused) + ".\n"


def answer_lines(answered: list[str], model: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is answered, and what the SDK's model has beyond that."""
    inside = tuple(f"{path}{sign}" for path in answered for sign in (".", "["))
    left_out = [
        path
        for path in model_paths(model)
        if path not in answered
        and not path.startswith(inside)
        and path.lower() not in ("requestid", "request_id")
    ]
    yield "Answers: " + (listed(answered) if answered else "the request id alone") + ".\n"
    if left_out:
        yield f"Left out of the answer ({len(left_out)}): {listed(left_out)}.\n"


def error_lines(truth: Truth) -> Iterator[str]:
    if truth.refusals:
        yield "| error | status | source |"
        yield "|---|---|---|"
        ordered = sorted(truth.refusals, key=lambda each: (each.status, each.code))
        yield from (f"| `{each.code}` | {each.status} | {each.source} |" for each in ordered)
        yield ""


def model_paths(model: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every leaf of a model, as ``parity.paths`` does of an answer."""
    if isinstance(model, list):
        yield from model_paths(model[0], f"{path}[]")
    elif isinstance(model, Mapping):
        for name, inner in model.items():
            yield from model_paths(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def listed(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def summary_lines(truths: dict[str, Truth]) -> Iterator[str]:
    """Yield the whole in figures, so that nobody takes it for more than it is."""
    recorded = sum(isinstance(truth.source, Recorded) for truth in truths.values())
    errors = [refusal for truth in truths.values() for refusal in truth.refusals]
    unknown = {each.code for each in errors if each.source.startswith("none")}
    yield (
        f"{len(truths)} actions: {recorded} recorded, {len(truths) - recorded} from docs. "
        f"{len({each.code for each in errors})} error codes of their own, {len(unknown)} of "
        f"them without a source in an action at least: {listed(sorted(unknown))}. "
        "Every action can also answer "
        + ", ".join(f"{each.status} `{each.code}`" for each in COMMON)
        + ".\n"
    )


def page() -> str:
    """Return the page's text."""
    answers = json.loads(ANSWERS.read_text())
    truths = {
        name: each.truth for table in (ecs.ACTIONS, ack.ACTIONS) for name, each in table.items()
    }
    lines = [HEAD, *summary_lines(truths), f"## ECS {ecs.VERSION}\n"]
    for name, action in sorted(ecs.ACTIONS.items()):
        lines += [f"### {name}\n", f"{action.truth.source}\n"]
        lines += parameter_lines("", [action.call])
        lines += answer_lines(answers.get(name, []), ecs.MODEL.answer(name))
        lines += error_lines(action.truth)
    lines.append(f"## ACK (CS) {ack.VERSION}\n")
    for name, route in sorted(ack.ACTIONS.items()):
        path = f"{route.method} {ack.MODEL.calls[name]['path']}"
        lines += [f"### {name}\n", f"`{path}`, {route.truth.source}\n"]
        lines += parameter_lines(path, [route.query, route.body])
        lines += answer_lines(answers.get(name, []), ack.MODEL.answer(name))
        lines += error_lines(route.truth)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
