"""The node agent and crictl against a real API server and a fake runtime; no root needed.

What containers do is tested on real machines, in ``tests/machine/test_agent.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.guest import agent, crictl, crictl_main
from emulator.guest.agent_api import ApiError, ApiUnreachableError, KubeApi
from emulator.guest.agent_events import Recorder
from emulator.guest.agent_images import TRIES, ImagePullError, SystemImages
from emulator.guest.agent_main import Agent
from emulator.guest.cri import Cri
from emulator.guest.objects import node_reference
from emulator.kube.selectors import Selection
from tests.emulator.fake_cri import SIZE, FakeRuntime, serving
from tests.emulator.kube_world import VERSION, KubeWorld, kube_world

pytestmark = pytest.mark.slow

NODE = "cn-hangzhou.127.0.0.9"
PROXY, PAUSE = "r/acs/kube-proxy:v1", "r/acs/pause:3.9"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with kube_world(tmp_path_factory.mktemp("kube")) as served:
        yield served


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(PROXY, PAUSE)


@pytest.fixture
def cri_socket(runtime: FakeRuntime, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "cri.sock"
    with serving(runtime, path):
        yield path


@pytest.fixture
def join(world: KubeWorld) -> dict[str, Any]:
    return {
        "node_name": NODE,
        "node_pool_id": "np1",
        "instance_id": "i-1",
        "kubernetes_version": VERSION,
        "api_server": world.url,
        "ca_pem": world.cluster.pki.ca_pem,
        "token": world.cluster.node_token(NODE),
        "system_images": [PROXY, PAUSE],
        "kubelet_registration_s": 0.0,
    }


@pytest.fixture
def api(join: dict[str, Any]) -> KubeApi:
    return KubeApi(join["api_server"], join["ca_pem"], join["token"])


@contextlib.contextmanager
def running(join: dict[str, Any], cri_socket: Path) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Agent(join, Cri(str(cri_socket)), stop).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
        assert not thread.is_alive()


def wait_for(world: KubeWorld, plural: str, is_so: Any) -> dict[str, Any]:
    """Return the first object of which something holds."""

    async def look() -> dict[str, Any]:
        async for _, obj in world.cluster.store.watch(plural, Selection()):
            if is_so(obj):
                return dict(obj)
        raise AssertionError("the cluster was stopped")

    return asyncio.run_coroutine_threadsafe(look(), world.loop).result(timeout=60)


def is_ready(status: str) -> Any:
    def is_so(node: dict[str, Any]) -> bool:
        conditions = node["status"].get("conditions", [])
        return any((c["type"], c["status"]) == ("Ready", status) for c in conditions)

    return is_so


def test_an_agent_pulls_what_is_absent_registers_and_turns_ready(
    world: KubeWorld, runtime: FakeRuntime, join: dict[str, Any], cri_socket: Path
) -> None:
    runtime.images.add(PAUSE)
    with running(join, cri_socket):
        node = wait_for(world, "nodes", is_ready("True"))
        assert runtime.pulls == [PROXY]
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "containerd://1.6.20"
        assert {image["sizeBytes"] for image in node["status"]["images"]} == {SIZE}
        event = wait_for(world, "events", lambda e: "Successfully pulled" in e["message"])
        assert event["message"].endswith(f"Image size: {SIZE} bytes.")
        assert event["involvedObject"]["namespace"] == "kube-system"
        runtime.problem = "out of order"
        wait_for(world, "nodes", is_ready("False"))
    shut = wait_for(world, "nodes", is_ready("False"))
    assert shut["status"]["conditions"][-1]["message"] == "node is shutting down"


def test_an_agent_waits_for_its_runtime(
    world: KubeWorld, runtime: FakeRuntime, join: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "late.sock"
    with running(join, path), serving(runtime, path):
        wait_for(world, "nodes", is_ready("True"))


def test_an_agent_that_reaches_no_server_goes_on_trying_until_told_to_stop(
    runtime: FakeRuntime, join: dict[str, Any], cri_socket: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nowhere = f"https://127.0.0.1:{gone.getsockname()[1]}"
    with running(join | {"api_server": nowhere}, cri_socket):
        assert runtime.was_asked.wait(timeout=30)


def test_an_image_that_cannot_be_pulled_keeps_a_node_from_joining(
    api: KubeApi, runtime: FakeRuntime, cri_socket: Path
) -> None:
    recorder = Recorder(api, NODE)
    images = SystemImages(Cri(str(cri_socket)), recorder, NODE, ["r/none:1"], pause_s=0.001)
    with pytest.raises(ImagePullError, match="r/none:1 cannot be pulled: PullImage: NOT_FOUND"):
        images.ensure(threading.Event())
    assert len(runtime.pulls) == TRIES
    assert images.missing() == "system images are not present: r/none:1"


def run_as_file(program: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a guest program the way a machine does: as a file, isolated."""
    command = [sys.executable, "-I", str(program.__file__), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_node_that_is_refused_ends_with_the_reason(
    join: dict[str, Any], runtime: FakeRuntime, cri_socket: Path, tmp_path: Path
) -> None:
    file = tmp_path / "join.json"
    file.write_text(json.dumps(join | {"token": "wrong"}))
    done = run_as_file(agent, "--join", str(file), "--socket", str(cri_socket))
    assert done.returncode == 1
    assert "does not join: POST /api/v1/nodes: 401 Unauthorized" in done.stderr


def test_an_event_told_twice_is_counted(world: KubeWorld, api: KubeApi) -> None:
    recorder = Recorder(api, NODE)
    for _ in range(3):
        recorder.tell(node_reference(NODE), "BackOff", "again")
    recorder.flush()
    [event] = world.cluster.store.list("events", fields="reason=BackOff")
    assert event["count"] == 3


def test_a_call_after_the_server_closed_an_idle_connection_is_made_again(
    world: KubeWorld, api: KubeApi
) -> None:
    api.get("/api/v1/nodes")
    world.on_loop(lambda: [c.transport.abort() for c in connections(world)])
    assert api.get("/api/v1/nodes")["kind"] == "NodeList"


def connections(world: KubeWorld) -> list[Any]:
    return list(world.cluster._server.server_state.connections)


def test_a_watch_from_a_forgotten_version_is_an_error_410(world: KubeWorld, api: KubeApi) -> None:
    world.cluster.store.compact()
    with pytest.raises(ApiError) as caught:
        next(api.watch("/api/v1/pods", "1"))
    assert caught.value.code == 410


def test_a_server_that_is_not_there_is_unreachable(join: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"https://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(ApiUnreachableError, match="GET /api/v1/nodes"):
        KubeApi(url, join["ca_pem"], "t").get("/api/v1/nodes")


def test_a_server_of_another_authority_is_not_trusted(
    join: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with kube_world(tmp_path_factory.mktemp("other")) as other:
        stranger = KubeApi(other.url, join["ca_pem"], other.cluster.admin_token)
        with pytest.raises(ApiUnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get("/api/v1/nodes")


def test_crictl_runs_as_a_file(runtime: FakeRuntime, cri_socket: Path) -> None:
    runtime.images.update({PROXY, PAUSE})
    done = run_as_file(crictl, "-r", f"unix://{cri_socket}", "images")
    assert done.returncode == 0
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["IMAGE", "TAG", "IMAGE", "ID", "SIZE"]
    assert [row.split()[:2] for row in rows] == [["r/acs/kube-proxy", "v1"], ["r/acs/pause", "3.9"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pull", PROXY], ["Image is up to date for sha256:"]),
        (["images", "-q"], ["sha256:"]),
        (["images", "--digests"], ["DIGEST", "r/acs/pause"]),
        (["inspecti", PAUSE], ['"repoTags"', PAUSE, '"size": "4096"']),
        (["rmi", PAUSE], [f"Deleted: {PAUSE}"]),
        (["ps"], ["c" * 13 + "  ", "Running", "main", "work", "default"]),
        (["ps", "-q"], ["c" * 64]),
        (["ps", "-o", "json"], ['"podSandboxId"']),
        (["version"], ["RuntimeName:  containerd", "RuntimeVersion:  v1.6.20~ds1"]),
        (["info"], ['"RuntimeReady"', '"config"', '"note": "no JSON"']),
    ],
    ids=" ".join,
)
def test_the_commands_of_crictl(
    arguments: list[str],
    words: list[str],
    runtime: FakeRuntime,
    cri_socket: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runtime.images.add(PAUSE)
    assert crictl_main.main(["-r", f"unix://{cri_socket}", *arguments]) == 0
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []


def test_crictl_fails_on_an_image_that_is_not_there(
    cri_socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["inspecti", "r/none:1"], ["rmi", "r/none:1"], ["pull", "r/none:1"]):
        assert crictl_main.main(["-r", f"unix://{cri_socket}", *arguments]) == 1
        assert "r/none:1" in capsys.readouterr().err
