"""Prove that a node holds what the image lock says, digest by digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import ImageProofError, InvalidInputError
from ack_preload.domain.locking import problems
from ack_preload.hooks.machine import Host, machine
from ack_preload.operators.base import CloudOperator
from ack_preload.operators.image_list import NodeListing
from ack_preload.operators.preload_disk import locked

if TYPE_CHECKING:
    from airflow.sdk import Context

Nodes = Sequence[Mapping[str, Any]] | str


class ProveImagesOperator(CloudOperator):
    """Compare the images of every node with the lock; return ``images_verified`` and ``nodes``.

    :param nodes: as ``ScaleNodePoolOperator`` returns them, each with ``private_ip`` and
        ``instance_id``, their JSON, or one address, if the SSH connection knows its host key.
    :param lock_digest: of the image lock that the nodes' disk was built from.
    """

    template_fields: Sequence[str] = ("nodes", "lock_digest", *CloudOperator.template_fields)

    def __init__(self, *, nodes: Nodes, lock_digest: str, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.nodes = nodes
        self.lock_digest = lock_digest

    def execute(self, context: Context) -> dict[str, Any]:
        lock = locked(self.lock_digest)
        hosts = hosts_of(self.nodes)
        for host in hosts:
            said = machine(host, self.conn_id).run_script("list_images.sh").checked().stdout
            found = problems(lock.images, NodeListing.parse(host.address, said).images)
            if found:
                raise ImageProofError(
                    f"node {host.address} lacks {len(found)} of {len(lock.images)} images of lock "
                    f"{lock.digest}: {'; '.join(found)}"
                )
            self.log.info("Node %s holds all %d images, by digest", host.address, len(lock.images))
        return {"images_verified": len(lock.images), "nodes": [host.address for host in hosts]}


def hosts_of(nodes: Nodes) -> list[Host]:
    """Return where nodes are, and by their instance ids how they are known.

    :raises InvalidInputError: when there is none: no node proves nothing.
    """
    listed: Any = nodes
    if isinstance(nodes, str):
        listed = json.loads(nodes) if nodes.startswith(("[", "{")) else [{"private_ip": nodes}]
    if isinstance(listed, Mapping):
        listed = listed.get("nodes") or [listed]
    found = [
        Host(str(node["private_ip"]), instance_id=str(node.get("instance_id") or ""))
        for node in listed
        if node.get("private_ip")
    ]
    if not found or len(found) != len(listed):
        raise InvalidInputError(f"nodes is {nodes!r}; pass nodes that all have a private_ip")
    return found
