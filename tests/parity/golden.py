"""The requests that a night of the DAGs sends, without what differs from one night to the next.

One file an action in ``golden/``. ``docs/parity.md`` tells how to accept a change.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
UPDATE = "UPDATE_GOLDEN"
HOW_TO_ACCEPT = "If the change is meant: make golden, and let the changed files be reviewed."

# What differs between two nights -> what stands for it, and a value that is well formed.
# Tried in this order, on every text of a request.
PLACEHOLDERS = {
    r"ssh-ed25519 [A-Za-z0-9+/]{68}": (
        "<public key>",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7UmP0lxPoq7TgQqYiJC/sqEcWqR2B1hkYQmpoaYS9n",
    ),
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": ("<time>", "2030-01-01T00:00:00Z"),
    r"sha256:[0-9a-f]{64}": ("<digest>", f"sha256:{'0' * 64}"),
    r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])": ("<token>", "0" * 64),
    r"(?<=<<'END'\n)[A-Za-z0-9+/=]+(?=\nEND\n)": ("<packed script>", "H4sI"),
    r"(?<=main (?:run|put|get) )[0-9a-f]{32}\b": ("<run of a script>", "0" * 32),
    r"\bt-bp1[0-9a-z]{14}\b": ("<invocation>", f"t-bp1{'0' * 14}"),
    r"\bc[0-9a-f]{32}\b": ("<cluster>", f"c{'0' * 32}"),
    r"\bnp[0-9a-f]{32}\b": ("<node pool>", f"np{'0' * 32}"),
    r"\bT-[0-9a-f]{24}\b": ("<task>", f"T-{'0' * 24}"),
    r"\bi-bp1[0-9a-z]{17}\b": ("<instance>", f"i-bp1{'0' * 17}"),
    r"\bd-bp1[0-9a-z]{17}\b": ("<disk>", f"d-bp1{'0' * 17}"),
    r"\bs-bp1[0-9a-z]{17}\b": ("<snapshot>", f"s-bp1{'0' * 17}"),
    r"\b127\.0\.0\.1:\d+\b": ("<address>", "127.0.0.1:1"),
    r"\b198\.18\.\d+\.\d+\b": ("<ip>", "198.18.0.1"),
    r"(?<=nightly_demo_)[0-9a-f]{12}\b": ("<run>", "0" * 12),
    r"(?<=-)[0-9a-f]{8}\b": ("<run key>", "0" * 8),
    r"^[0-9a-f]{12}$": ("<installation>", "0" * 12),
}
BASE64 = "base64 of: "  # before the text of what is encoded, which can then be reviewed
ENCODED = ("userdata", "user_data", "commandcontent")

Request = dict[str, Any]


def requests_of(log: str) -> dict[str, list[Request]]:
    """Return the distinct requests of a ``requests.jsonl``, by action, in a fixed order."""
    found: dict[str, dict[str, Request]] = {}
    for line in log.splitlines():
        entry = json.loads(line)
        request = {name: normal(entry[name]) for name in ("method", "path", "query", "body")}
        found.setdefault(entry["action"], {})[json.dumps(request, sort_keys=True)] = request
    return {action: [of[key] for key in sorted(of)] for action, of in sorted(found.items())}


def normal(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: normal(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [normal(inner) for inner in value]
    if not isinstance(value, str):
        return value
    text = decoded(value) if name.lower().endswith(ENCODED) else value
    for pattern, (placeholder, _) in PLACEHOLDERS.items():
        text = re.sub(pattern, placeholder, text)
    return text


def decoded(value: str) -> str:
    try:
        return BASE64 + base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def filled(value: Any) -> Any:
    """Return a golden request as it could be sent: each placeholder with a value of its form."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if not isinstance(value, str):
        return value
    for placeholder, example in PLACEHOLDERS.values():
        value = value.replace(placeholder, example)
    if value.startswith(BASE64):
        return base64.b64encode(value.removeprefix(BASE64).encode()).decode()
    return value


def kept() -> dict[str, list[Request]]:
    """Return the golden requests, by action."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def written(requests: list[Request]) -> str:
    return json.dumps(requests, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def compare(sent: dict[str, list[Request]]) -> str:
    """Return what differs from the golden files, as a diff; nothing when all is as it was.

    With ``UPDATE_GOLDEN=1`` the files are written instead.
    """
    if os.environ.get(UPDATE) == "1":
        for path in FOLDER.glob("*.json"):
            path.unlink()
        for action, requests in sent.items():
            (FOLDER / f"{action}.json").write_text(written(requests))
    golden = kept()
    lines: list[str] = []
    for action in sorted({*golden, *sent}):
        before, after = (written(of.get(action, [])).splitlines() for of in (golden, sent))
        name = f"tests/parity/golden/{action}.json"
        lines += difflib.unified_diff(before, after, name, "what the night sent", lineterm="")
    return "\n".join(lines)
