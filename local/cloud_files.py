"""What the local cloud's ready line turns into: Airflow connections and the file of targets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

TARGET = "demo"
POLL_EVERY_S = 0.25  # the local cloud has no quota; a real one is asked every few seconds
CALLS_PER_S = 100  # as above

# It lists at once; but a task that was marked failed may go on until its next heartbeat.
VISIBLE_WITHIN_S = 5


def connections(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the connections as Airflow's REST API takes them.

    They go into Airflow's database, where the Fernet key encrypts them and a person finds them
    under Admin > Connections, as in production; a secrets backend or variables would hide them
    there, and leave the keys in a plain file or in every process's environment.
    """
    account = {
        "region": facts["region_id"],
        "ecs_endpoint": facts["ecs_endpoint"],
        "cs_endpoint": facts["cs_endpoint"],
        "protocol": "http",
        "packages_url": facts["packages_url"],
        "poll_every_s": POLL_EVERY_S,
        "calls_per_s": CALLS_PER_S,
        "visible_within_s": VISIBLE_WITHIN_S,
    }
    # No host keys: those of machines are read through Cloud Assistant, as on a real account.
    machines = {"private_key": read_private(Path(facts["ssh_private_key_file"]))}
    return [
        {
            "connection_id": "alibabacloud_default",
            "conn_type": "alibaba_cloud",
            "description": "The local cloud; a real account differs by this connection only",
            "login": facts["access_key_id"],
            "password": facts["access_key_secret"],
            "extra": json.dumps(account),
        },
        {
            "connection_id": "ack_preload_ssh",
            "conn_type": "ssh",
            "description": "Live nodes of the local cloud",
            "login": facts["ssh_user"],
            "port": facts["ssh_port"],
            "extra": json.dumps(machines),
        },
    ]


def targets(facts: dict[str, Any], samples: int) -> dict[str, Any]:
    """Return the file of targets: the seeded pool, with what exists only at run time filled in."""
    workload = facts["workload_image"]
    return {
        "targets": [
            {
                "name": TARGET,
                "cluster_id": facts["cluster_id"],
                "source": {"node_pool_id": facts["node_pool_id"], "nodes": 1},
                "workload_images": [workload],
                "build": {
                    "instance_type": facts["instance_type"],
                    "zone_id": facts["zone_id"],
                    "vswitch_id": facts["vswitch_id"],
                    "security_group_id": facts["security_group_id"],
                    "image_id": facts["image_id"],
                    "disk_gib": 40,
                },
                "pool": {
                    "name": "preloaded",
                    "instance_types": [facts["instance_type"]],
                    "vswitch_ids": [facts["vswitch_id"]],
                    "key_pair": "demo-nodes",
                },
                "measure": {"samples": samples, "workload_image": workload},
            }
        ]
    }


def write_targets(path: Path, facts: dict[str, Any], samples: int) -> None:
    text = yaml.safe_dump(targets(facts, samples), sort_keys=False)
    path.write_text(f"# Written at each start from what the local cloud says.\n{text}")


def read_private(path: Path) -> str:
    """Read a file of the local cloud, which belongs to root when sudo started it."""
    try:
        return path.read_text()
    except PermissionError:
        command = ["sudo", "-n", "--", "cat", str(path)]
        read = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
        return read.stdout
