"""Resource ids shaped as the cloud's own, and readable in their order of creation."""

from __future__ import annotations

import secrets
from itertools import count
from uuid import uuid4


class Ids:
    """One numbering for all kinds of resources.

    The middle of an id differs between two runs of the emulator: a client that remembers a
    snapshot of yesterday's emulator must not find today's snapshot under that id.
    """

    def __init__(self) -> None:
        self._run = secrets.token_hex(3)
        self._numbers = count(1)

    def ecs(self, prefix: str) -> str:
        """Return an id such as ``d-bp19c41f200000000007``: 20 characters after the dash."""
        return f"{prefix}-bp1{self._run}{next(self._numbers):011d}"

    def ack(self, prefix: str) -> str:
        """Return an id such as ``np9c41f2…07``: the prefix and 32 hexadecimal digits."""
        return f"{prefix}{self._run}{next(self._numbers):026x}"

    def assistant(self, prefix: str) -> str:
        """Return an id such as ``t-bp19c41f200000007``, of a command or of its invocation."""
        return f"{prefix}-bp1{self._run}{next(self._numbers):08d}"

    def task(self) -> str:
        return f"T-{self._run}{next(self._numbers):018x}"


def request_id() -> str:
    return str(uuid4()).upper()
