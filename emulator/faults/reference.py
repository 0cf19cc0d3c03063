"""``docs/reference/faults.md``: every fault with its fields, from the models themselves.

``python -m emulator.faults.reference`` writes the page again; a test proves that it is current.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

from emulator.faults.fault import Fault
from emulator.faults.kinds import KINDS

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "faults.md"
HEAD = """\
# Faults of the local cloud

Written by `python -m emulator.faults.reference`; do not edit. [emulator.md](../emulator.md#faults)
says how to arm one, [machine-faults.md](../machine-faults.md) what it takes on a real machine.
A field without a default must be given.
"""


def rows(fields: dict[str, Any], required: list[str]) -> Iterator[str]:
    yield "| field | takes | default | means |"
    yield "|---|---|---|---|"
    for name, field in fields.items():
        if name == "kind":
            continue
        default = "" if name in required else f"`{shown(field.get('default'))}`"
        yield f"| `{name}` | {takes(field)} | {default} | {field.get('description', '')} |"


def shown(value: Any) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def takes(field: dict[str, Any]) -> str:
    """Return what a field takes, from its JSON schema."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return takes(next(each for each in field["anyOf"] if each.get("type") != "null"))
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum")
    limits = "" if low is None and high is None else f" {low}..{'' if high is None else high}"
    return f"{field['type']}{limits}"


def section(kind: type[Fault]) -> Iterator[str]:
    schema = kind.model_json_schema()
    yield f"## `{schema['properties']['kind']['const']}`\n"
    yield cleandoc(kind.__doc__ or "") + "\n"
    own = {name: field for name, field in schema["properties"].items() if name not in COMMON}
    if own:
        yield from rows(own, schema.get("required", []))
        yield ""


COMMON = dict(Fault.model_json_schema()["properties"])


def page() -> str:
    """Return the page's text."""
    lines = [HEAD, "## Fields of all\n", *rows(COMMON, []), ""]
    for kind in KINDS:
        lines += section(kind)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
