"""The agent's log: one line on stderr, with the time, as the machine's other logs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime


def log(message: str) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    print(f"{now}Z kubelet: {message}", file=sys.stderr, flush=True)
