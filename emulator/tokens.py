"""ClientToken: the same call made twice has one effect.

https://www.alibabacloud.com/help/en/ecs/developer-reference/how-to-ensure-idempotence
Kept as long as the emulator runs: the lifetime at Alibaba Cloud is not documented.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from emulator.errors import conflict


class ClientTokens:
    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}

    def answer(self, action: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the first answer to this very call; None when it is new.

        :raises ApiError: when the token was used with other parameters.
        """
        known = self._known.get((action, params.get("ClientToken", "")))
        if known is None:
            return None
        if known[0] != digest(params):
            raise conflict(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        return known[1]

    def keep(self, action: str, params: Mapping[str, Any], body: dict[str, Any]) -> None:
        if token := params.get("ClientToken"):
            self._known[action, token] = (digest(params), body)


def digest(params: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
