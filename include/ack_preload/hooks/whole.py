"""Whether an answer has what was asked for.

The SDK's models write an empty list where an answer has none, so that an answer without its list,
as a proxy or a half-broken gateway gives it, would read as "there is nothing": pools and nodes
would be taken for gone. So each answer is looked at before it becomes a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ack_preload.domain.errors import UnclearReplyError

DEMANDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "DescribeClusterNodePoolDetail": (("nodepool_info",),),
    "DescribeClusterNodePools": (("nodepools",),),
    "DescribeClusterNodes": (("nodes",),),
    "DescribeClusterUserKubeconfig": (("config",),),
    "DescribeClustersV1": (("clusters",), ("page_info", "total_count")),
    "DescribeDisks": (("Disks", "Disk"),),
    "DescribeInstances": (("Instances", "Instance"),),
    "DescribeKeyPairs": (("KeyPairs", "KeyPair"),),
    "DescribeSnapshots": (("Snapshots", "Snapshot"),),
    "ListClusterAddonInstances": (("addons",),),
}
"""What the answer of each call must have, as the keys that lead to it."""


class WholeReplies:
    """To be put before a client of the SDK, whose calls all go through these two."""

    def call_api(self, params: Any, request: Any, runtime: Any) -> Any:
        reply = super().call_api(params, request, runtime)  # type: ignore[misc]  # the client's
        refuse_partial(params.action, reply.get("body"))
        return reply

    async def call_api_async(self, params: Any, request: Any, runtime: Any) -> Any:
        reply = await super().call_api_async(params, request, runtime)  # type: ignore[misc]  # same
        refuse_partial(params.action, reply.get("body"))
        return reply


def refuse_partial(action: str, body: Any) -> None:
    """Refuse an answer without what was asked for; a list that is there may be empty or null.

    :raises UnclearReplyError: as after a reply that got lost: the call may be sent again.
    """
    for path in DEMANDED.get(action, ()):
        found = body
        for key in path:
            if not isinstance(found, Mapping) or key not in found:
                raise UnclearReplyError(f"the answer of {action} has no {'.'.join(path)}")
            found = found[key]


@contextmanager
def readable(action: str) -> Iterator[None]:
    """Let what cannot be read of an answer be no answer.

    :raises UnclearReplyError: as :func:`refuse_partial`.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise UnclearReplyError(f"the answer of {action} cannot be read: {exc!r}") from exc
