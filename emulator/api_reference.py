"""``docs/reference/emulated-api.md``: what each action obeys, within which limits, and refuses.

``python -m emulator.api_reference`` writes the page again; a test proves that it is current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emulator import ack, ecs
from emulator.params import Call, Rule

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "emulated-api.md"
HEAD = """\
# What the local cloud emulates

Written by `python -m emulator.api_reference`; do not edit. [emulator.md](../emulator.md) says how
to run it and what it simulates.

Every answer and error here is *from docs*: taken from Alibaba Cloud's API pages and the models of
its SDKs, none recorded from the real cloud. A parameter that is neither obeyed nor refused below
does not exist in the API and is `InvalidParameter`. Refused ones are `EmulatorUnsupported`.
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


def action_lines(name: str, route: str, calls: list[Call]) -> Iterator[str]:
    rules = {path: rule for call in calls for path, rule in call.rules.items()}
    refused = [path for call in calls for path in call.not_emulated()]
    yield f"### {name}\n"
    if route:
        yield f"`{route}`\n"
    if rules:
        yield "| obeyed | limits |"
        yield "|---|---|"
        yield from (f"| `{path}` | {limits(rule)} |" for path, rule in sorted(rules.items()))
        yield ""
    else:
        yield "No parameters but those of the path.\n" if route else "No parameters.\n"
    if refused:
        yield "Refused: " + ", ".join(f"`{path}`" for path in refused) + ".\n"


def page() -> str:
    """Return the page's text."""
    lines = [HEAD, f"## ECS {ecs.VERSION}\n"]
    for name, action in sorted(ecs.ACTIONS.items()):
        lines += action_lines(name, "", [action.call])
    lines.append(f"## ACK (CS) {ack.VERSION}\n")
    for name, route in sorted(ack.ACTIONS.items()):
        path = ack.MODEL.calls[name]["path"]
        lines += action_lines(name, f"{route.method} {path}", [route.query, route.body])
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
