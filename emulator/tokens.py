"""ClientToken: the same call made twice has one effect.

https://www.alibabacloud.com/help/en/ecs/developer-reference/how-to-ensure-idempotence
Kept as long as the emulator runs: the lifetime at Alibaba Cloud is not documented.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from emulator.errors import conflict

if TYPE_CHECKING:
    from emulator.clock import Clock


@dataclass(slots=True)
class FirstCall:
    """The call that used a token up, and its answer."""

    digest: str
    body: dict[str, Any]
    processed: datetime
    unanswered: int = 0  # calls with this token whose answer is still under way


class ClientTokens:
    """The tokens of an account, each for one action.

    :param processing_s: for so long after a call its token counts as in flight, on ``clock``.
    """

    def __init__(self, clock: Clock, processing_s: float) -> None:
        self._clock = clock
        self._processing = timedelta(seconds=processing_s)
        self._known: dict[tuple[str, str], FirstCall] = {}

    def answer(self, action: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the first answer to this very call; None when it is new.

        :raises ApiError: when the token was used with other parameters, or the first call with it
            is still being processed.
        """
        first = self._known.get((action, params.get("ClientToken", "")))
        if first is None:
            return None
        if first.digest != digest(params):
            raise conflict(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        if first.unanswered or self._clock.now() < first.processed:
            raise conflict(
                "IdempotentProcessing",
                "The previous request with the same client token is still being processed.",
            )
        return first.body

    def keep(self, action: str, params: Mapping[str, Any], body: dict[str, Any]) -> None:
        if token := params.get("ClientToken"):
            processed = self._clock.now() + self._processing
            self._known[action, token] = FirstCall(digest(params), body, processed)

    @contextmanager
    def in_flight(self, action: str, token: str) -> Iterator[None]:
        """Let a call count as unanswered: for an answer that is ready and sent later."""
        first = self._known.get((action, token))
        if first is not None:
            first.unanswered += 1
        try:
            yield
        finally:
            if first is not None:
                first.unanswered -= 1


def digest(params: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
