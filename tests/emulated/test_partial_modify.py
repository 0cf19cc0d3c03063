"""The generic call of a change: on the wire is the body that was given, to the last key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ack_preload.domain.tags import APPLIED_KEY, INSTALLATION_KEY, PRODUCT_KEY
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from emulator.app import Handle
from tests.emulated.driving import context, perform
from tests.emulated.node_pools import EARLIER, LATER, apply, bodies, restore, scale

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
THIRD = context(run_id="manual__3")
anything = st.dictionaries(st.sampled_from(["scaling_group", "kubernetes_config"]), values)


class Listener(ThreadingHTTPServer):
    """Answers every call as ACK does a change, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.heard: list[tuple[str, str, Any]] = []


class Answer(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:  # the name that http.server looks for
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = self.headers["x-acs-action"]
        self.server.heard.append((action, self.path, json.loads(body or b"{}")))
        answer = b'{"task_id": "T-1"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # as its base has it
        """Say nothing."""


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def hook(listener: Listener) -> AckHook:
    account = Account(
        conn_id="stub",
        region="cn-hangzhou",
        access_key_id="id",
        access_key_secret="secret",  # of nobody
        cs_endpoint=f"127.0.0.1:{listener.server_port}",
        protocol="http",
    )
    return AckHook(account=account)


@settings(max_examples=20, deadline=None)
@given(body=anything)
def test_a_change_is_sent_as_it_is_given(
    listener: Listener, hook: AckHook, body: dict[str, Any]
) -> None:
    listener.heard.clear()
    assert hook.modify_node_pool("c1", "np1", body) == "T-1"
    assert listener.heard == [("ModifyClusterNodePool", "/clusters/c1/nodepools/np1", body)]


@settings(max_examples=5, deadline=None)
@given(size=st.integers(0, 500))
def test_a_size_is_all_that_is_sent_of_it(listener: Listener, hook: AckHook, size: int) -> None:
    listener.heard.clear()
    hook.set_desired_size("c1", "np1", size)
    assert [body for *_, body in listener.heard] == [{"scaling_group": {"desired_size": size}}]


@pytest.mark.usefixtures("node_pool_history")
def test_each_change_sends_the_keys_that_it_means_to_change_and_no_other(
    cloud: Handle, snapshots: tuple[str, str]
) -> None:
    made = perform(apply(cloud, snapshots[0]), EARLIER)
    perform(apply(cloud, snapshots[0]), THIRD)  # as it is
    perform(apply(cloud, snapshots[1]), LATER)  # promoted
    perform(restore(cloud), LATER)
    perform(scale(cloud, made["node_pool_id"], 1), LATER)
    perform(scale(cloud, made["node_pool_id"], 0), LATER)
    sent = bodies(cloud, "ModifyClusterNodePool")
    assert [{part: set(body[part]) for part in body} for body in sent] == [
        {"scaling_group": {"tags"}},
        {"scaling_group": {"data_disks", "tags"}},
        {"scaling_group": {"data_disks", "tags"}},
        {"scaling_group": {"desired_size"}},
        {"scaling_group": {"desired_size"}},
    ]
    for body in sent[:3]:
        keys = {tag["key"] for tag in body["scaling_group"]["tags"]}
        assert {PRODUCT_KEY, INSTALLATION_KEY, APPLIED_KEY} <= keys  # a list replaces the list
    disks = [disk for body in sent[1:3] for disk in body["scaling_group"]["data_disks"]]
    assert [each["snapshot_id"] for each in disks] == [snapshots[1], snapshots[0]]
