"""What takes seconds to import is not imported by the event loop of a triggerer."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ack_preload.domain.errors import NodeUnreachableError
from ack_preload.hooks import loading
from ack_preload.hooks.account import Account
from ack_preload.hooks.host import Host
from ack_preload.hooks.kube import KubeHook
from ack_preload.hooks.kubeconfig import ClusterAccess
from ack_preload.hooks.node_ssh import NodeSshHook
from ack_preload.hooks.ssh_calls import ScriptCall

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBiUqB6L8l3YzB4Ck4eX9mV3Q1mSxZb4z3k0Y5F5Yl3t"


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    found: set[str] = set()
    monkeypatch.setattr(loading, "READY", found)
    return found


def test_a_module_is_imported_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: set[str]
) -> None:
    (tmp_path / "slow_one.py").write_text("import threading\nBY = threading.current_thread()\n")
    monkeypatch.syspath_prepend(tmp_path)
    asyncio.run(loading.load("slow_one"))
    assert sys.modules["slow_one"].BY is not threading.current_thread()
    assert ready == {"slow_one"}


def test_a_wait_on_kubernetes_loads_its_client_first(ready: set[str]) -> None:
    async def connect() -> None:
        async with AsyncExitStack() as stack:
            access = ClusterAccess(server="https://127.0.0.1:9", token="t")
            await stack.enter_async_context(KubeHook.connect(access, "c1"))

    asyncio.run(connect())
    assert ready == {"kubernetes_asyncio.client"}


def test_a_wait_over_ssh_loads_its_client_first(
    ready: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NODES", '{"conn_type": "ssh", "login": "root", "port": 9}')
    account = Account(
        conn_id="c", region="r", access_key_id="a", access_key_secret="b", ssh_conn_id="nodes"
    )
    hook = NodeSshHook(Host("127.0.0.1", host_key=HOST_KEY), account)
    with pytest.raises(NodeUnreachableError):
        asyncio.run(hook.arun(ScriptCall("state.sh", ()), 5))
    assert ready == {"asyncssh", "airflow.providers.ssh.hooks.ssh"}
