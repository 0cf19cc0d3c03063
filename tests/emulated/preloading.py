"""What a build needs beside the account: connections to machines and history, and its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.sdk import BaseHook

from ack_preload.hooks.account import Account
from ack_preload.hooks.host import Host
from ack_preload.hooks.node_ssh import NodeSshHook
from ack_preload.operators import preload_disk as disk
from ack_preload.operators.build_instance import RunBuildInstanceOperator, StopInstanceOperator
from ack_preload.operators.image_list import ExportImageListOperator
from ack_preload.operators.key_pair import ImportKeyPairOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.node_pool_size import ScaleNodePoolOperator
from ack_preload.operators.prove_images import ProveImagesOperator
from ack_preload.operators.snapshot import CreateSnapshotOperator
from emulator.app import Handle
from tests.emulated.driving import connection, context, perform, target

PRIVATE_CONN_ID = "team_registry"


def ssh_connection(facts: dict[str, Any], **changes: Any) -> str:
    """Return the Airflow connection to the machines of a local cloud, as JSON."""
    return json.dumps(
        {
            "conn_type": "ssh",
            "login": facts["ssh_user"],
            "port": facts["ssh_port"],
            "extra": {"private_key": Path(facts["ssh_private_key_file"]).read_text()},
            **changes,
        }
    )


def connect(cloud: Handle, history: Path, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    """Set the connections to a local cloud and a history; ``extra`` is that of the account."""
    store = json.dumps({"conn_type": "sqlite", "host": str(history)})
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", store)
    # A look at a remote job is a whole SSH connection: more of them would only slow the job down.
    account = connection(cloud.facts, **{"poll_every_s": 0.1, **extra})
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", account)
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_SSH", ssh_connection(cloud.facts))
    monkeypatch.setenv(f"AIRFLOW_CONN_{PRIVATE_CONN_ID.upper()}", private_connection(cloud.facts))


def private_connection(facts: dict[str, Any], **changes: Any) -> str:
    """Return the Airflow connection to the private registry of a local cloud, as JSON."""
    return json.dumps(
        {
            "conn_type": "docker",
            "host": facts["private_registry"],
            "login": facts["registry_username"],
            "password": facts["registry_password"],
            **changes,
        }
    )


def private_target(cloud: Handle) -> dict[str, Any]:
    """Return a target with an image of the private registry among its workload images."""
    images = [workload(cloud), cloud.facts["private_image"]]
    return {
        **target(cloud),
        "workload_images": images,
        "registry_conn_ids": [PRIVATE_CONN_ID],
    }


def workload(cloud: Handle) -> str:
    return str(cloud.facts["workload_image"])


def export(cloud: Handle, **changes: Any) -> dict[str, Any]:
    """Export the image list of the seeded node, with the workload image."""
    wanted = {**target(cloud), "workload_images": [workload(cloud)], **changes}
    made: dict[str, Any] = perform(ExportImageListOperator(task_id="export", target=wanted))
    return made


class Build:
    """One build on the local cloud, as far as a test takes it.

    :param run: tells builds on one local cloud apart.
    :param is_private: whether one more image comes from the registry that wants a login.
    """

    def __init__(self, cloud: Handle, run: str = "manual__1", *, is_private: bool = False) -> None:
        self.cloud = cloud
        self.run = run
        self.target = private_target(cloud) if is_private else target(cloud)
        self.lock_digest = export(cloud, **(self.target if is_private else {}))["lock_digest"]
        key_pair = self._perform(
            ImportKeyPairOperator(task_id="key", key_pair_name=f"key-{run}", target=target(cloud))
        )
        self.instance = self._perform(
            RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name=key_pair)
        )
        self.machine = {
            "address": self.instance["private_ip"],
            "instance_id": self.instance["instance_id"],
        }

    def _perform(self, operator: Any) -> Any:
        return perform(operator, context(run_id=self.run, task_id=operator.task_id))

    @property
    def paper(self) -> Any:
        """The paper machine behind the build instance."""
        return self.cloud.cloud.machines._machines[self.instance["instance_id"]]  # type: ignore[attr-defined]  # paper's own

    def shell(self, command: str) -> str:
        """Run a command on the build instance, as somebody who tampers with it."""
        key = self.machine.get("host_key") or self.paper.ssh.host_key
        host = Host(self.machine["address"], "build_preloaded_disk", self.run, key)
        account = Account.get()
        connection = BaseHook.get_connection(account.ssh_conn_id)
        with NodeSshHook(host, account).connected(connection) as client:
            _, output, _ = client.exec_command(command)
            said: str = output.read().decode()
        return said

    def prepare(self) -> dict[str, Any]:
        serial = self.instance["disk_serial"]
        made: dict[str, Any] = self._perform(
            disk.PrepareDiskOperator(task_id="prepare", disk_serial=serial, **self.machine)
        )
        self.machine["host_key"] = made["host_key"]
        return made

    def install(self, version: str = "1.6.20") -> dict[str, Any]:
        made: dict[str, Any] = self._perform(
            disk.InstallRuntimeOperator(task_id="install", version=version, **self.machine)
        )
        return made

    def pulling(self) -> disk.PullImagesOperator:
        return disk.PullImagesOperator(
            task_id="task", lock_digest=self.lock_digest, target=self.target, **self.machine
        )

    def pull(self) -> dict[str, Any]:
        made: dict[str, Any] = self._perform(self.pulling())
        return made

    def add_package(self, version: str = "1.32.1-aliyun.1") -> dict[str, Any]:
        made: dict[str, Any] = self._perform(
            disk.KubeletPackageOperator(
                task_id="package", version=version, lock_digest=self.lock_digest, **self.machine
            )
        )
        return made

    def seal(self) -> dict[str, Any]:
        made: dict[str, Any] = self._perform(
            disk.SealDiskOperator(task_id="seal", lock_digest=self.lock_digest, **self.machine)
        )
        return made

    def stop(self) -> None:
        instance_id = self.instance["instance_id"]
        self._perform(StopInstanceOperator(task_id="stop", instance_id=instance_id))

    def snapshot(self) -> str:
        made: str = self._perform(
            CreateSnapshotOperator(
                task_id="snapshot",
                disk_id=self.instance["disk_id"],
                snapshot_name="preloaded",
                lineage={},
                target=target(self.cloud),
            )
        )
        return made

    def node_from(self, snapshot_id: str) -> dict[str, Any]:
        """Return a Ready node of a new pool whose last data disk is from the snapshot."""
        pool = self._perform(
            ApplyNodePoolOperator(
                task_id="pool",
                target=target(self.cloud, key_pair="demo-nodes"),
                pool_name="canary",
                snapshot_id=snapshot_id,
                purpose="canary",
            )
        )
        scaled = self._perform(
            ScaleNodePoolOperator(
                task_id="scale",
                cluster_id=self.cloud.facts["cluster_id"],
                node_pool_id=pool["node_pool_id"],
                desired_size=1,
            )
        )
        (node,) = scaled["nodes"]
        made: dict[str, Any] = node
        return made

    def prove(self, node: dict[str, Any]) -> int:
        operator = ProveImagesOperator(task_id="prove", nodes=[node], lock_digest=self.lock_digest)
        return int(self._perform(operator)["images_verified"])

    def pulls_of(self, node: dict[str, Any]) -> list[str]:
        """Return the messages of all pulls on a node."""
        store = self.cloud.cloud.clusters[self.cloud.facts["cluster_id"]].kube.store
        events = store.list("events")
        said = [e["message"] for e in events if e["source"].get("host") == node["node_name"]]
        return [message for message in said if message.startswith("Successfully pulled")]


def on_node(address: str, script: str) -> str:
    """Run a script on a live node over SSH, by the Airflow connection; return its stdout."""
    hook = SSHHook("ack_preload_ssh", remote_host=address, cmd_timeout=60, no_host_key_check=True)
    with hook.get_conn() as client:
        _, output, errors = client.exec_command(script)
        said: str = output.read().decode()
        if code := output.channel.recv_exit_status():
            raise AssertionError(f"exit code {code}: {errors.read().decode()}")
    return said


def procedures_image_list(address: str) -> str:
    """Return the file that the procedure's own shell script writes on a node."""
    script = Path(__file__).with_name("procedure_export.sh").read_text()
    return on_node(address, f"{script}\ncat image_list.txt")
