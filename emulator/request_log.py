"""``requests.jsonl``: one line a call, without signatures or secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

SECRET = frozenset(
    {"password", "login_password", "privatekeybody", "securitytoken", "signature", "accesskeyid"}
)
HIDDEN = "***"


def without_secrets(value: Any) -> Any:
    """Return a copy in which the value of every secret parameter is hidden."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if key.rpartition(".")[2].lower() in SECRET else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


class RequestLog:
    """Appends to a file; each line is complete when the call's answer is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO = path.open("a", buffering=1)

    def write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(without_secrets(entry), separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()
