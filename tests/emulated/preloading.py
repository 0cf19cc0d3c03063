"""What a build needs beside the account: connections to machines and history, and its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.ssh.hooks.ssh import SSHHook

from ack_preload.operators import preload_disk as disk
from ack_preload.operators.build_instance import RunBuildInstanceOperator, StopInstanceOperator
from ack_preload.operators.image_list import ExportImageListOperator
from ack_preload.operators.key_pair import ImportKeyPairOperator
from emulator.app import Handle
from tests.emulated.driving import connection, context, perform, target


def ssh_connection(facts: dict[str, Any], **changes: Any) -> str:
    """Return the Airflow connection to the machines of a local cloud, as JSON."""
    return json.dumps(
        {
            "conn_type": "ssh",
            "login": facts["ssh_user"],
            "port": facts["ssh_port"],
            "extra": {
                "private_key": Path(facts["ssh_private_key_file"]).read_text(),
                "no_host_key_check": "true",
            },
            **changes,
        }
    )


def connect(cloud: Handle, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = json.dumps({"conn_type": "sqlite", "host": str(history)})
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", store)
    # A look at a remote job is a whole SSH connection: more of them would only slow the job down.
    account = connection(cloud.facts, poll_every_s=0.3)
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", account)
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_SSH", ssh_connection(cloud.facts))


def workload(cloud: Handle) -> str:
    return str(cloud.facts["workload_image"])


def export(cloud: Handle, **changes: Any) -> dict[str, Any]:
    """Export the image list of the seeded node, with the workload image."""
    wanted = {**target(cloud), "workload_images": [workload(cloud)], **changes}
    made: dict[str, Any] = perform(ExportImageListOperator(task_id="export", target=wanted))
    return made


class Build:
    """One build on the local cloud, as far as a test takes it."""

    def __init__(self, cloud: Handle) -> None:
        self.cloud = cloud
        self.lock_digest = export(cloud)["lock_digest"]
        key_pair = perform(
            ImportKeyPairOperator(
                task_id="key", key_pair_name="ack-preload-test", target=target(cloud)
            )
        )
        self.instance = perform(
            RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name=key_pair)
        )
        self.machine = {"address": self.instance["private_ip"]}

    @property
    def paper(self) -> Any:
        """The paper machine behind the build instance."""
        return self.cloud.cloud.machines._machines[self.instance["instance_id"]]  # type: ignore[attr-defined]  # paper's own

    def preparing(self) -> disk.PrepareDiskOperator:
        serial = self.instance["disk_serial"]
        return disk.PrepareDiskOperator(task_id="prepare", disk_serial=serial, **self.machine)

    def prepare(self) -> dict[str, Any]:
        made: dict[str, Any] = perform(self.preparing())
        self.machine["host_key"] = made["host_key"]
        return made

    def install(self, version: str = "1.6.20") -> dict[str, Any]:
        made: dict[str, Any] = perform(
            disk.InstallRuntimeOperator(task_id="install", version=version, **self.machine)
        )
        return made

    def pulling(self, **changes: Any) -> disk.PullImagesOperator:
        wanted = {"lock_digest": self.lock_digest, **self.machine, **changes}
        return disk.PullImagesOperator(task_id="pull", **wanted)

    def add_package(self, version: str = "1.32.1-aliyun.1") -> dict[str, Any]:
        made: dict[str, Any] = perform(
            disk.KubeletPackageOperator(
                task_id="package", version=version, lock_digest=self.lock_digest, **self.machine
            )
        )
        return made

    def seal(self, **changes: Any) -> dict[str, Any]:
        wanted = {"lock_digest": self.lock_digest, **self.machine, **changes}
        made: dict[str, Any] = perform(
            disk.SealDiskOperator(task_id="seal", **wanted), context(task_id="seal")
        )
        return made

    def stop(self) -> None:
        instance_id = self.instance["instance_id"]
        perform(StopInstanceOperator(task_id="stop", instance_id=instance_id))


def on_node(address: str, script: str) -> str:
    """Run a script on a live node over SSH, by the Airflow connection; return its stdout."""
    hook = SSHHook("ack_preload_ssh", remote_host=address, cmd_timeout=60)
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
