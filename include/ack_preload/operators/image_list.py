"""Turn what live nodes run into an image lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import required
from ack_preload.domain.errors import InvalidInputError, ResourceFailedError
from ack_preload.domain.images import (
    ImageLock,
    ImageReference,
    LockedImage,
    NodeImage,
    image_list,
    parse_crictl_json,
    parse_crictl_table,
)
from ack_preload.domain.locking import union
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.history import open_store, run_of
from ack_preload.hooks.machine import Host, machine
from ack_preload.hooks.registry import resolve
from ack_preload.hooks.registry_login import registry_logins
from ack_preload.operators.base import CloudOperator, as_mapping

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ack_preload.domain.node_pools import Node
    from ack_preload.hooks.registry_login import RegistryLogin

PLATFORMS = {
    ("Linux", "x86_64"): "linux/amd64",
    ("Linux", "aarch64"): "linux/arm64",
    ("Linux", "arm64"): "linux/arm64",
}
PARTS = ("platform", "table", "json")


@dataclass(frozen=True, slots=True)
class NodeListing:
    """What ``list_images.sh`` says of one node."""

    platform: str
    table: list[tuple[str, str]]
    images: list[NodeImage]

    @classmethod
    def parse(cls, node: str, stdout: str) -> NodeListing:
        """Take the script's output apart.

        :raises InvalidInputError: naming the node, for output that is not what it documents.
        """
        parts = dict.fromkeys(PARTS, "")
        current = ""
        for line in stdout.splitlines():
            if line.startswith("== ") and line[3:] in PARTS:
                current = line[3:]
            elif current:
                parts[current] += f"{line}\n"
        system, _, machine = parts["platform"].strip().partition(" ")
        platform = PLATFORMS.get((system, machine))
        if platform is None:
            raise InvalidInputError(
                f"node {node} runs on {system or 'nothing'} {machine}; known: {_known()}"
            )
        try:
            return cls(
                platform, parse_crictl_table(parts["table"]), parse_crictl_json(parts["json"])
            )
        except InvalidInputError as exc:
            raise InvalidInputError(f"node {node}: {exc}") from exc


def _known() -> str:
    return ", ".join(sorted(set(PLATFORMS.values())))


class ExportImageListOperator(CloudOperator):
    """Read the images of live nodes, lock them by digest, and keep list and lock.

    The image list is what the nodes have, in the procedure's own format. The lock has further the
    target's workload images. Returns ``lock_digest``, ``images`` (how many) and ``nodes``.

    :param target: the target as a mapping, or its JSON.
    """

    template_fields: Sequence[str] = ("target", *CloudOperator.template_fields)

    def __init__(self, *, target: Mapping[str, Any] | str, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.target = target

    @cached_property
    def hook(self) -> AckHook:
        return AckHook(self.conn_id, account=self.account)

    def execute(self, context: Context) -> dict[str, Any]:
        target = as_mapping("target", self.target)
        name = str(required("target", target, "name"))
        nodes = self._source_nodes(target)
        listings = [self._list(node) for node in nodes]
        platform = _one_platform(nodes, listings)
        lock = ImageLock(self._locked(listings, target, platform), platform)
        if not lock.images:
            raise InvalidInputError(
                f"target {name}: the image list is empty, on {len(nodes)} nodes; a disk without "
                "images preloads nothing"
            )
        text = image_list(listing.table for listing in listings)
        open_store().put_lock(lock, text, target=name, run=run_of(context))
        self.log.info(
            "Locked %d images of %d nodes as %s", len(lock.images), len(nodes), lock.digest
        )
        return {
            "lock_digest": lock.digest,
            "images": len(lock.images),
            "nodes": [node.name for node in nodes],
        }

    def _source_nodes(self, target: Mapping[str, Any]) -> list[Node]:
        source = target.get("source") or {}
        cluster_id = str(required("target", target, "cluster_id"))
        pool_id = str(required("source", source, "node_pool_id"))
        wanted = int(source.get("nodes") or 1)
        listed = sorted(self.hook.nodes(cluster_id, pool_id), key=lambda node: node.name)
        ready = [node for node in listed if node.is_ready and node.private_ip]
        if not ready:
            states = ", ".join(f"{node.name} is {node.node_status}" for node in listed)
            raise ResourceFailedError(
                f"node pool {pool_id} has no Ready node to read ({states or 'no nodes at all'}); "
                "scale it up, or name another source.node_pool_id"
            )
        if len(ready) < wanted:
            self.log.warning("Only %d of %d nodes of %s are Ready", len(ready), wanted, pool_id)
        return ready[:wanted]

    def _list(self, node: Node) -> NodeListing:
        host = Host(node.private_ip or "", instance_id=node.instance_id)
        said = machine(host, self.conn_id).run_script("list_images.sh").checked().stdout
        listing = NodeListing.parse(node.name, said)
        self.log.info("Node %s has %d images", node.name, len(listing.images))
        return listing

    def _locked(
        self, listings: Sequence[NodeListing], target: Mapping[str, Any], platform: str
    ) -> tuple[LockedImage, ...]:
        found = union([listing.images for listing in listings])
        for tag in found.moved:
            self.log.warning("%s means different content on different nodes", tag)
        for image_id in found.nameless:
            self.log.warning("Image %s has no name, so it is left out", image_id)
        logins = registry_logins(target.get("registry_conn_ids") or ())
        images = {image.reference: image for image in found.images if _is_tagged(image)}
        others = [image for image in found.images if not _is_tagged(image)]
        for tag in found.unresolved:
            images[tag] = self._resolve(tag, platform, logins)
        for wanted in target.get("workload_images") or ():
            name = ImageReference.parse(str(wanted))
            if name.digest or name.tagged not in images:
                image = self._resolve(str(wanted), platform, logins)
                images[image.reference] = image
        return (*images.values(), *others)

    def _resolve(
        self, reference: str, platform: str, logins: Mapping[str, RegistryLogin]
    ) -> LockedImage:
        name = ImageReference.parse(reference)
        resolved = resolve(name, platform, logins)
        self.log.info("%s is %s", name.tagged, resolved.digest)
        return LockedImage(name.tagged, resolved.digest, resolved.size_bytes)


def _is_tagged(image: LockedImage) -> bool:
    return bool(ImageReference.parse(image.reference).tag)


def _one_platform(nodes: Sequence[Node], listings: Sequence[NodeListing]) -> str:
    found = {listing.platform for listing in listings}
    if len(found) > 1:
        each = ", ".join(f"{n.name} is {x.platform}" for n, x in zip(nodes, listings, strict=True))
        raise InvalidInputError(f"the source nodes differ in platform: {each}; read one kind only")
    return found.pop()
