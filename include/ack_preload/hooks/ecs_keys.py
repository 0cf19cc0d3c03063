"""Elastic Compute Service: the key pair of a run.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-importkeypair
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ack_preload.domain.disks import KeyPair
from ack_preload.domain.errors import (
    CloudError,
    ForeignResourceError,
    UnclearReplyError,
    is_unclear,
)
from ack_preload.domain.tags import INSTALLATION_KEY, RUN_KEY, refuse_foreign
from ack_preload.hooks.cloud import plain
from ack_preload.hooks.ecs_storage import EcsStorage

TAKEN = "KeyPair.AlreadyExist"
MEND = "delete it or rename it"
MAX_KEY_PAGE = 50  # the most that DescribeKeyPairs lists


class EcsKeys(EcsStorage):
    """Key pairs. The private half never comes near this module."""

    def import_key_pair(self, name: str, public_key: str, tags: Mapping[str, str]) -> None:
        """Put a public key into the account; the pair that this run made before is kept.

        The key of a run is derived from the run, so the same name and run mean the same key.

        :raises ForeignResourceError: when the name is taken by a pair that is not of this run.
        """
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.ImportKeyPairRequest(
            region_id=self.account.region,
            key_pair_name=name,
            public_key_body=public_key,
            tag=[ecs.ImportKeyPairRequestTag(key=k, value=v) for k, v in tags.items()],
        )
        try:
            self._send("ImportKeyPair", lambda: self.client.import_key_pair(request))
        except (CloudError, UnclearReplyError) as exc:
            taken = isinstance(exc, CloudError) and exc.code.startswith(TAKEN)
            if not taken and not is_unclear(exc):
                raise
            found = self.key_pair(name)
            if found is None:
                raise
            refuse_foreign(f"key pair {name}", found, tags[INSTALLATION_KEY], MEND)
            if found.get(RUN_KEY) != tags[RUN_KEY]:
                raise ForeignResourceError(
                    f"key pair {name} is of the run {found.get(RUN_KEY)}; {MEND}"
                ) from exc

    def key_pair(self, name: str) -> dict[str, str] | None:
        """Return the tags of a key pair, or ``None`` when there is none of that name."""
        return self.key_pairs(name=name).get(name)

    def key_pairs(
        self, tags: Mapping[str, str] | None = None, *, name: str | None = None
    ) -> dict[str, dict[str, str]]:
        """Return the key pairs that carry all ``tags``: name to tags."""
        return {pair.name: dict(pair.tags) for pair in self.list_key_pairs(tags, name=name)}

    def list_key_pairs(
        self, tags: Mapping[str, str] | None = None, *, name: str | None = None
    ) -> list[KeyPair]:
        """Return the key pairs that carry all ``tags``."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DescribeKeyPairsRequest(
            region_id=self.account.region,
            key_pair_name=name,
            page_number=1,
            page_size=min(self.page_size, MAX_KEY_PAGE),
            tag=[ecs.DescribeKeyPairsRequestTag(key=k, value=v) for k, v in (tags or {}).items()],
        )
        found: list[KeyPair] = []
        while True:
            answer = self._read("DescribeKeyPairs", lambda: self.client.describe_key_pairs(request))
            listed: list[dict[str, Any]] = plain(answer.body)["KeyPairs"]["KeyPair"]
            found += [KeyPair.from_api(pair) for pair in listed]
            if len(listed) < request.page_size:
                return found
            request.page_number += 1

    def delete_key_pair(self, name: str) -> None:
        """Delete a key pair; one that is gone is fine."""
        from alibabacloud_ecs20140526 import models as ecs

        request = ecs.DeleteKeyPairsRequest(
            region_id=self.account.region, key_pair_names=json.dumps([name])
        )
        self._send("DeleteKeyPairs", lambda: self.client.delete_key_pairs(request))
