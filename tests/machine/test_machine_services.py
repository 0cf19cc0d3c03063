"""What machines find around them: services, registry, packages, a link of limited rate."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request

import pytest

from emulator.settings import Settings
from tests.machine.lab import SETTINGS, Lab

pytestmark = [pytest.mark.machine, pytest.mark.slow]

MEGABYTE = 10**6


async def test_containerd_is_started_and_stopped_through_systemctl(lab: Lab) -> None:
    await lab.boot("i-1")
    said = await lab.run(
        "i-1",
        """systemctl is-active containerd
        systemctl enable --now containerd && systemctl is-active containerd.service
        ctr version | grep -c Version
        systemctl is-enabled containerd
        systemctl stop containerd && systemctl is-active containerd
        true""",
    )
    assert said.split() == ["inactive", "active", "2", "enabled", "inactive"]


async def test_a_service_that_dies_is_started_again(lab: Lab) -> None:
    await lab.boot("i-1")
    await lab.run(
        "i-1",
        """systemctl start containerd
        kill -KILL $(pidof containerd)
        until systemctl is-active --quiet containerd && ctr version >/dev/null 2>&1
        do sleep 0.05; done""",
    )


async def test_an_enabled_service_runs_after_a_restart_of_the_machine(lab: Lab) -> None:
    machine = await lab.boot("i-1")
    await lab.run("i-1", "systemctl enable containerd")
    await machine.stop()
    await machine.start()
    await lab.run("i-1", "systemctl start containerd; systemctl is-active containerd")


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        pytest.param("start nginx", 5, "Unit nginx.service not found.", id="unknown unit"),
        pytest.param("mask ssh", 1, "mask is not emulated", id="unknown verb"),
        pytest.param("poweroff", 1, "poweroff: not emulated", id="no unit"),
        pytest.param("start ssh --user", 1, "not emulated", id="unknown flag"),
    ],
)
async def test_what_systemctl_cannot_do_it_refuses(
    lab: Lab, command: str, code: int, message: str
) -> None:
    await lab.boot("i-1")
    done = await lab.try_run("i-1", f"systemctl {command}")
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


async def test_host_and_machine_reach_the_registry_under_one_address(lab: Lab) -> None:
    await lab.boot("i-1")
    url = f"http://{lab.machines.registry}/v2/_catalog"
    with urllib.request.urlopen(url) as reply:  # our own server
        here = json.load(reply)
    assert json.loads(await lab.run("i-1", f"curl -fsS {url}")) == here
    assert (
        lab.machines.workload_image().removeprefix(f"{lab.machines.registry}/").partition(":")[0]
        in (here["repositories"])
    )


async def test_a_pull_of_every_image_works(lab: Lab) -> None:
    await lab.boot("i-1")
    images = (*lab.machines.system_images(), lab.machines.workload_image())
    pulls = "\n".join(
        f"ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {image}" for image in images
    )
    script = f"set -e; systemctl start containerd\n{pulls}\nctr -n k8s.io images ls -q"
    listed = await lab.run("i-1", script)
    assert set(images) <= set(listed.split())


class TestARateLimit:
    @pytest.fixture
    def settings(self) -> Settings:
        return SETTINGS.changed(["link_mb_per_s=20"])

    async def test_downloads_run_at_the_rate_of_the_link(self, lab: Lab) -> None:
        await lab.boot("i-1")
        size = 10 * MEGABYTE
        listener = lab.machines.listen(7000)
        threading.Thread(target=serve_once, args=(listener, size), daemon=True).start()
        started = time.monotonic()
        url = f"{lab.machines.gateway_ip}/7000"
        said = await lab.run("i-1", f"exec 3<>/dev/tcp/{url}; wc -c <&3")
        took = time.monotonic() - started
        assert int(said) == size
        assert took > 0.9 * (size - MEGABYTE) / (20 * MEGABYTE)  # less the bucket's first filling


def serve_once(listener: socket.socket, size: int) -> None:
    with listener, listener.accept()[0] as connection:
        connection.sendall(bytes(size))
