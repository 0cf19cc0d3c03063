"""The local cloud with Airflow's connection to it in the environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.build_instance import RunBuildInstanceOperator, StopInstanceOperator
from ack_preload.targets.load import PATH_VARIABLE
from emulator.app import Handle
from tests.emulated.bad_line import BadLine, bad_line
from tests.emulated.driving import connection, perform, target
from tests.emulated.sweeping import write_targets


@pytest.fixture
def cloud(cloud_handle: Handle, monkeypatch: pytest.MonkeyPatch) -> Handle:
    """Return a fresh local cloud that ``alibabacloud_default`` leads to."""
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", connection(cloud_handle.facts))
    return cloud_handle


@pytest.fixture
def node_pool_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the operators a history of this test's own."""
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))


@pytest.fixture
def sweep_world(
    cloud: Handle, node_pool_history: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give the sweep a file of targets and a history."""
    write_targets(tmp_path, cloud)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "targets.yaml"))


@pytest.fixture
def line(cloud_handle: Handle, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadLine]:
    """Return a bad line to a fresh local cloud, and let the connection lead over it."""
    with bad_line(cloud_handle.facts["ecs_endpoint"]) as line:
        over = {"ecs_endpoint": line.endpoint, "cs_endpoint": line.endpoint}
        text = connection(cloud_handle.facts, **over)
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", text)
        yield line


@pytest.fixture
def snapshots(cloud: Handle) -> tuple[str, str]:
    """Make two snapshots of one disk, as of two nights."""
    made = perform(
        RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes")
    )
    perform(StopInstanceOperator(task_id="stop", instance_id=made["instance_id"]))
    hook = EcsHook()
    ids = []
    for number in (1, 2):
        ids.append(
            hook.create_snapshot(made["disk_id"], name=f"n{number}", token=f"t{number}", tags={})
        )
        cloud.run_until(lambda: hook.snapshot(ids[-1]).status == "accomplished")  # type: ignore[union-attr]  # it exists
    return ids[0], ids[1]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return a name for a node pool of this test's own, in a cloud that it shares."""
    return f"pool-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
