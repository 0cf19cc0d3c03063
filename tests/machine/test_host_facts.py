"""What the machine layer reads from a host; needs no root."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
from pathlib import Path

import pytest

from emulator.machines.base import MachineError, MachineSpec
from emulator.machines.real import cgroups, preflight
from emulator.machines.real.mounts import parse_mountinfo
from emulator.machines.real.network import Network
from emulator.machines.real.processes import Identity, signal_if
from emulator.machines.real.root import python_folders, refuse_what_cloud_init_alone_does
from emulator.machines.real.slots import network, routed

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

# Recorded on Debian 12 with systemd, on this project's development host, and on a host that
# systemd set up as "hybrid". Optional fields differ in number: shared:1, master:2, none.
UNIFIED = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
LEGACY = """\
40 23 0:30 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
41 40 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
42 40 0:32 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
43 40 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
BLANK_IN_NAME = r"50 22 0:40 / /mnt/a\040b rw master:1 propagate_from:2 - tmpfs tmpfs rw" + "\n"


def test_version_2_is_used_where_it_is_the_main_hierarchy() -> None:
    found = cgroups.hierarchies(parse_mountinfo(UNIFIED))
    assert found == [cgroups.Hierarchy(Path("/sys/fs/cgroup"), 2, "")]


def test_a_hybrid_host_counts_as_version_1_and_named_hierarchies_keep_their_name() -> None:
    found = cgroups.hierarchies(parse_mountinfo(LEGACY))
    assert [(one.point.name, one.version, one.options) for one in found] == [
        ("cpu,cpuacct", 1, "cpu,cpuacct"),
        ("systemd", 1, "name=systemd"),
    ]


def test_a_host_without_cgroups_is_refused() -> None:
    with pytest.raises(MachineError, match="no cgroup file system is mounted"):
        cgroups.hierarchies([])


def test_a_mount_point_with_a_blank_is_read() -> None:
    assert parse_mountinfo(BLANK_IN_NAME)[0].point == Path("/mnt/a b")


def test_the_default_route_is_no_network_that_the_host_wants_to_reach() -> None:
    routes = '[{"dst":"default"},{"dst":"198.18.3.0/24"},{"type":"local","dst":"127.0.0.1"}]'
    found = list(routed(routes))
    assert network(3).overlaps(found[0])
    assert not any(network(4).overlaps(one) for one in found)


def test_an_address_is_kept_until_given_back_and_then_given_out_last() -> None:
    machines = Network("ackp9", ipaddress.IPv4Network("198.18.9.0/24"), 0)
    first = machines.reserve("i-1")
    assert machines.reserve("i-1") == first
    machines.give_back("i-1")
    assert machines.reserve("i-2") != first


def test_a_full_network_says_so() -> None:
    machines = Network("ackp9", ipaddress.IPv4Network("198.18.9.0/24"), 0)
    addresses = {machines.reserve(f"i-{number}") for number in range(240)}
    assert len(addresses) == 240
    with pytest.raises(MachineError, match="all 240 addresses"):
        machines.reserve("i-241")


def test_a_process_is_told_from_a_later_one_of_the_same_number() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.is_alive()
    assert not Identity(me.pid, me.started - 1).is_alive()


def test_a_process_that_is_not_ours_is_not_signalled() -> None:
    assert not signal_if(os.getpid(), signal.SIGKILL, lambda _: False)


def test_the_interpreter_of_this_environment_is_in_the_shared_folders() -> None:
    program = Path(sys.executable)
    shared = [*python_folders(), Path("/usr")]
    while True:
        assert any(program.is_relative_to(folder) for folder in shared), program
        if not program.is_symlink():
            break
        program = program.parent / program.readlink()


@pytest.mark.parametrize(
    "data",
    [
        b"#cloud-config\n",
        b"#include\nhttp://x\n",
        b"Content-Type: multipart/mixed",
        b"\x1f\x8b\x08",
    ],
    ids=["cloud-config", "include", "multipart", "gzip"],
)
def test_user_data_for_more_than_a_script_runner_is_refused(data: bytes) -> None:
    with pytest.raises(MachineError, match="only run scripts, which start with #!"):
        refuse_what_cloud_init_alone_does(MachineSpec("i-1", "h", "198.18.0.2", (), (), data))


def test_a_missing_tool_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(preflight, "TOOL_PATH", str(tmp_path))
    missing = next(line for line in preflight.problems() if line.startswith("not installed"))
    assert "docker-registry" in missing
    assert "apt-get install bash containerd coreutils curl" in missing
