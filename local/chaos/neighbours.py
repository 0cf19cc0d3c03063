"""What belongs to others on the same account, placed beside ours, and what the harness asks itself.

By the official SDK and not by our hooks: a fault of those must not hide in the scales.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from alibabacloud_cs20151215 import models as cs
from alibabacloud_cs20151215.client import Client as CsClient
from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_tea_openapi.utils_models import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ack_preload.domain.tags import EXPIRES_KEY, PRODUCT, PRODUCT_KEY, PURPOSE_KEY, RUN_KEY
from local.chaos.judge import Scene

Facts = Mapping[str, Any]
LONG_AGO = "2020-01-01T00:00:00Z"
STRANGER = {"owner": "somebody"}
# Made by this product for another Airflow, and long expired: what a careless sweep would take.
OTHER_INSTALLATION = {
    PRODUCT_KEY: PRODUCT,
    "ack-preload/installation": "another-airflow",
    "ack-preload/target": "demo",
    RUN_KEY: "build_preloaded_disk/of-another-airflow",
    EXPIRES_KEY: LONG_AGO,
    PURPOSE_KEY: "build",
}
WITHIN_S = 60.0
LAG_S = 10.0  # longer than what a case lets reads lag
DISK_GIB = 41  # no system disk has this size


class Account:
    """The local cloud's account as its owner sees it."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.ecs = EcsClient(_config(facts, "ecs_endpoint"))
        self.cs = CsClient(_config(facts, "cs_endpoint"))
        self._http = httpx.Client(base_url=facts["control_url"], trust_env=False, timeout=60)

    def scene(self) -> Scene:
        """Return what there is and was, by the meter and by the cloud's own list."""
        meter = self._http.get("/meter").raise_for_status().json()
        return Scene.of(meter, self._http.get("/state").raise_for_status().json())

    def arm(self, fault: Mapping[str, Any]) -> str:
        answer = self._http.post("/faults", json=dict(fault))
        if answer.is_error:
            raise ValueError(f"{dict(fault)}: {answer.text}")
        return str(answer.json()["id"])

    def struck(self, fault_id: str) -> int:
        listed: list[dict[str, Any]] = self._http.get("/faults").raise_for_status().json()["faults"]
        return sum(int(each["struck"]) for each in listed if each["id"] == fault_id)

    def disarm(self, fault_id: str) -> None:
        self._http.delete(f"/faults/{fault_id}").raise_for_status()

    def disarm_all(self) -> None:
        self._http.delete("/faults").raise_for_status()

    def advance(self, seconds: float) -> None:
        self._http.post("/clock", json={"advance_s": seconds}).raise_for_status()

    def until(self, what: str, met: Callable[[], object]) -> None:
        """Wait for the cloud to get somewhere.

        :raises TimeoutError: naming ``what``.
        """
        deadline = time.monotonic() + WITHIN_S
        while not met():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not so within {WITHIN_S:.0f} s")
            time.sleep(0.02)


def settle_down(account: Account, *, lags: bool = True) -> frozenset[str]:
    """Place what is foreign, and return everything that is there now: nothing of it is ours.

    :param lags: reads may lag: the cloud's clock is moved past that, and is ahead of ours then.
    """
    for number, tags in enumerate((STRANGER, OTHER_INSTALLATION)):
        _neighbour(account, f"foreign-{number}", tags, lags=lags)
    return frozenset(account.scene().resources)


def _neighbour(account: Account, name: str, tags: Mapping[str, str], *, lags: bool) -> None:
    facts = account.facts
    key = Ed25519PrivateKey.generate().public_key()
    account.ecs.import_key_pair(
        ecs.ImportKeyPairRequest(
            region_id=facts["region_id"],
            key_pair_name=name,
            public_key_body=key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
            tag=[ecs.ImportKeyPairRequestTag(key=k, value=v) for k, v in tags.items()],
        )
    )
    instance_id = order_instance(account, name, tags)
    account.until(f"{instance_id} is Running", lambda: _state(account, instance_id) == "Running")
    if lags:
        account.advance(LAG_S)
    snapshot_id = account.ecs.create_snapshot(
        ecs.CreateSnapshotRequest(
            disk_id=_data_disk(account, instance_id),
            snapshot_name=name,
            tag=[ecs.CreateSnapshotRequestTag(key=k, value=v) for k, v in tags.items()],
        )
    ).body.snapshot_id
    account.until(snapshot_id, lambda: _state(account, snapshot_id) == "accomplished")
    pool_id = _pool(account, name, tags)
    account.until(pool_id, lambda: _state(account, pool_id) == "active")


def order_instance(account: Account, name: str, tags: Mapping[str, str]) -> str:
    """Order an instance with a data disk, beside the product; return its id."""
    facts = account.facts
    request = ecs.RunInstancesRequest(
        region_id=facts["region_id"],
        image_id=facts["image_id"],
        instance_type=facts["instance_type"],
        instance_name=name,
        v_switch_id=facts["vswitch_id"],
        security_group_id=facts["security_group_id"],
        data_disk=[ecs.RunInstancesRequestDataDisk(category="cloud_essd", size=DISK_GIB)],
        tag=[ecs.RunInstancesRequestTag(key=k, value=v) for k, v in tags.items()],
    )
    (instance_id,) = account.ecs.run_instances(request).body.instance_id_sets.instance_id_set
    return str(instance_id)


def _pool(account: Account, name: str, tags: Mapping[str, str]) -> str:
    facts = account.facts
    group = {
        "vswitch_ids": [facts["vswitch_id"]],
        "instance_types": [facts["instance_type"]],
        "instance_charge_type": "PostPaid",
        "image_type": "AliyunLinux3",
        "desired_size": 0,
        "system_disk_category": "cloud_essd",
        "system_disk_size": 120,
        "data_disks": [{"category": "cloud_essd", "size": 40}],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    request = cs.CreateClusterNodePoolRequest().from_map(
        {
            "nodepool_info": {"name": name, "type": "ess"},
            "scaling_group": group,
            "kubernetes_config": {"runtime": "containerd", "runtime_version": "1.6.20"},
        }
    )
    answer = account.cs.create_cluster_node_pool(facts["cluster_id"], request)
    return str(answer.body.nodepool_id)


def _state(account: Account, resource_id: str) -> str:
    found = [each for each in account.scene().resources.values() if each["id"] == resource_id]
    return str(found[0]["state"]) if found else "absent"


def _data_disk(account: Account, instance_id: str) -> str:
    """Return its disk that is not the system's; asked beside the API, whose reads may lag."""
    disks = [
        each
        for each in account.scene().resources.values()
        if each.get("instance_id") == instance_id and each.get("size_gib") == DISK_GIB
    ]
    return str(disks[-1]["id"])


def _config(facts: Facts, endpoint: str) -> Config:
    return Config(
        access_key_id=facts["access_key_id"],
        access_key_secret=facts["access_key_secret"],
        region_id=facts["region_id"],
        endpoint=facts[endpoint],
        protocol="http",
    )
