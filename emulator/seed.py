"""What the account holds from the start.

``demo``: a cluster whose pool ``system`` has one live node, opened by key pair ``demo-nodes``.
``empty``: a cluster without node pools.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import PublicFormat as Public

from emulator.account import IMAGES
from emulator.ack import scaling
from emulator.ack.node_pools import new_pool
from emulator.ack.resources import Cluster, NodePool
from emulator.content.catalogue import KUBERNETES_VERSION
from emulator.ecs.key_pairs import fingerprint
from emulator.ecs.resources import KeyPair

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.kube.cluster import KubeCluster

SEEDS = ("demo", "empty")
CLUSTER_ID = "c0123456789abcdef0123456789abcdef"
KEY_PAIR = "demo-nodes"
IMAGE_ID = IMAGES[0].image_id
INSTANCE_TYPE = "ecs.c7.xlarge"
NODE_DISK_GIB = 40


def add_cluster(cloud: Cloud, kube: KubeCluster, kube_url: str, node_kube_url: str) -> Cluster:
    """Add the one cluster; its add-ons have the versions of the system images."""
    cluster = Cluster(
        cluster_id=CLUSTER_ID,
        name="demo",
        version=KUBERNETES_VERSION,
        created=cloud.now(),
        kube=kube,
        kube_url=kube_url,
        node_kube_url=node_kube_url,
        addons=addon_versions(cloud.machines.system_images()),
    )
    cloud.clusters[cluster.cluster_id] = cluster
    return cluster


def addon_versions(images: tuple[str, ...]) -> dict[str, str]:
    """Return name -> version of what the images' references name."""
    versions = {}
    for reference in images:
        repository, _, tag = reference.rpartition(":")
        versions[repository.rpartition("/")[2]] = tag
    return versions


def add_key_pair(cloud: Cloud, private_key_file: Path) -> None:
    """Make the key that opens the seeded nodes; the account holds its public half only."""
    key = Ed25519PrivateKey.generate()
    private_key_file.unlink(missing_ok=True)
    private_key_file.touch(mode=0o600)
    private_key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    public = key.public_key().public_bytes(Encoding.OpenSSH, Public.OpenSSH).decode()
    cloud.key_pairs[KEY_PAIR] = KeyPair(
        name=KEY_PAIR,
        key_pair_id=cloud.ids.ecs("ssh"),
        public_key=f"{public} {KEY_PAIR}",
        fingerprint=fingerprint(public),
        created=cloud.now(),
        tags={},
    )


async def add_live_pool(cloud: Cloud, cluster: Cluster) -> NodePool:
    """Add the pool ``system`` and wait until its node is Ready.

    :raises TaskFailedError: when the node did not become Ready.
    """
    description = {
        "nodepool_info": {"name": "system"},
        "scaling_group": {
            "vswitch_ids": [cloud.account.vswitch_id],
            "instance_types": [INSTANCE_TYPE],
            "instance_charge_type": "PostPaid",
            "key_pair": KEY_PAIR,
            "data_disks": [{"category": "cloud_essd", "size": NODE_DISK_GIB}],
        },
    }
    pool = new_pool(cloud, cluster, description, size=1)
    cloud.node_pools[pool.node_pool_id] = pool
    await scaling.resize(cloud, pool)
    return pool
