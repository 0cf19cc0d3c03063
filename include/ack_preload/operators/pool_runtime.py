"""The container runtime of a node pool, which the contents of a preloaded disk must match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.history import open_store

if TYPE_CHECKING:
    from ack_preload.domain.node_pools import NodePoolView, PoolSpec
    from ack_preload.hooks.ack import AckHook


def source_runtime(hook: AckHook, spec: PoolSpec) -> str:
    """Return the version of the pool to speed up, for a pool that is created beside it."""
    source = hook.node_pool(spec.cluster_id, spec.source_pool_id)
    if source is None or not source.runtime_version:
        raise InvalidInputError(
            f"source.node_pool_id is {spec.source_pool_id!r}, which is no node pool of cluster "
            f"{spec.cluster_id} with a container runtime; name the pool to speed up"
        )
    return source.runtime_version


def check_runtime(pool: NodePoolView, snapshot_id: str | None) -> None:
    """Refuse a snapshot whose disk was built for another containerd than the pool's nodes get.

    Not checked: a blank disk, and a snapshot of which the history does not know the version.

    :raises InvalidInputError: naming the pool, both versions and the mend.
    """
    record = open_store().snapshot(snapshot_id) if snapshot_id else None
    if record is None or record.runtime_version in ("", pool.runtime_version):
        return
    raise InvalidInputError(
        f"node pool {pool.node_pool_id} ({pool.name}) has containerd "
        f"{pool.runtime_version or 'of an unknown version'} and snapshot {snapshot_id} was built "
        f"for {record.runtime_version}; bring the pool to {record.runtime_version}, or choose "
        "another pool.name in the target"
    )
