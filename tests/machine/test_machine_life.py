"""A real machine boots, is used, stops in order or loses power, and goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emulator.machines.base import DiskAttachment, MachineError
from emulator.machines.real import loops
from tests.machine.lab import Lab, serial

pytestmark = [pytest.mark.machine, pytest.mark.slow]

CLOUD_INIT_LOG = "/var/log/cloud-init-output.log"
WAIT_FOR_CLOUD_INIT = "until [ -e /var/lib/cloud/instance/boot-finished ]; do sleep 0.02; done"


async def test_a_machine_has_a_host_name_an_address_and_processes_of_its_own(lab: Lab) -> None:
    await lab.boot("i-1")
    facts = await lab.run("i-1", "hostname; hostname -i; cat /proc/1/comm; ls /sys/class/net")
    address = lab.machines.reserve_ip("i-1")
    assert facts.split() == ["i-1", address, "python", "eth0", "lo"]


async def test_a_machine_has_none_of_the_secrets_of_the_host(lab: Lab) -> None:
    await lab.boot("i-1")
    assert await lab.run("i-1", "cat /etc/shadow") == "root:*:19000:0:99999:7:::\n"
    mine = await lab.run("i-1", "ls /etc/ssh/ssh_host_*; cat /etc/ssh/ssh_host_ed25519_key.pub")
    assert mine.split()[:2] == [
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key.pub",
    ]
    hosts_own = Path("/etc/ssh/ssh_host_ed25519_key.pub")
    assert not hosts_own.exists() or hosts_own.read_text().split()[1] not in mine


async def test_a_disk_is_found_by_its_serial_and_tools_list_only_the_own_disks(lab: Lab) -> None:
    await lab.boot("i-1", "d-one", "d-two")
    found = await lab.run("i-1", f"readlink -f /dev/disk/by-id/*{serial('d-two')}*")
    assert found == "/dev/vdc\n"
    assert await lab.run("i-1", "lsblk -lnd -o NAME -p") == "/dev/vdb\n/dev/vdc\n"
    listed = await lab.run("i-1", "fdisk -l | grep -o '^Disk [^,]*'")
    assert listed == "Disk /dev/vdb: 10 GiB\nDisk /dev/vdc: 10 GiB\n"


async def test_user_data_runs_as_a_script_on_the_first_boot_only(lab: Lab) -> None:
    script = b"#!/bin/sh\necho ran >>/root/runs; echo to the log; exit 3\n"
    machine = await lab.boot("i-1", user_data=script)
    await lab.run("i-1", WAIT_FOR_CLOUD_INIT)
    log = await lab.run("i-1", f"cat {CLOUD_INIT_LOG}")
    assert "to the log\n" in log
    assert "user-data ended with exit code 3" in log
    await machine.stop()
    await machine.start()
    assert await lab.run("i-1", f"{WAIT_FOR_CLOUD_INIT}; cat /root/runs") == "ran\n"


async def test_user_data_that_only_cloud_init_understands_is_refused(lab: Lab) -> None:
    machine = lab.machines.machine(lab.spec("i-1", user_data=b"#cloud-config\npackages: [x]\n"))
    with pytest.raises(MachineError, match=r"user data of i-1 starts with '#cloud-config"):
        await machine.start()


async def test_files_outlive_a_stop_and_a_start(lab: Lab) -> None:
    machine = await lab.boot("i-1")
    await lab.run("i-1", "touch /root/kept /etc/kept /usr/local/bin/kept /var/lib/kept")
    await machine.stop()
    await machine.start()
    await lab.run("i-1", "ls /root/kept /etc/kept /usr/local/bin/kept /var/lib/kept")


async def test_an_orderly_stop_unmounts_the_disk_under_a_running_container(lab: Lab) -> None:
    machine = await lab.boot("i-1", "d-one")
    image = lab.machines.system_images()[0]
    await lab.run(
        "i-1",
        f"""set -e
        mkfs.ext4 -q /dev/vdb
        mkdir -p /var/lib/containerd
        mount /dev/vdb /var/lib/containerd
        systemctl start containerd
        ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {image}
        ctr -n k8s.io run -d --net-host {image} one /bin/sh -c 'while :; do sleep 1; done'
        dumpe2fs -h /dev/vdb | grep features | grep -q needs_recovery""",
    )
    await machine.stop()
    await machine.start()
    header = await lab.run("i-1", "dumpe2fs -h /dev/vdb")
    assert "needs_recovery" not in header
    assert "clean" in header.partition("Filesystem state:")[2].split("\n")[0]


async def test_a_power_cut_keeps_only_what_was_synced(lab: Lab) -> None:
    machine = await lab.boot("i-1", "d-one")
    await lab.run(
        "i-1",
        """set -e
        mkfs.ext4 -q /dev/vdb; mount /dev/vdb /mnt
        echo safe >/mnt/synced; sync -f /mnt
        echo gone >/mnt/unsynced""",
    )
    await machine.stop(force=True)
    await machine.start()
    found = await lab.run("i-1", "mount /dev/vdb /mnt; cd /mnt; cat synced; cat unsynced || true")
    assert found == "safe\n"


async def test_a_machine_whose_disk_is_missing_says_so_and_leaves_no_loop_device(lab: Lab) -> None:
    await lab.machines.create_disk("d-one", 10)
    before = loops.under(lab.machines._state_dir)
    disks = (
        DiskAttachment("d-one", "/dev/vdb", serial("d-one"), 10),
        DiskAttachment("d-gone", "/dev/vdc", serial("d-gone"), 10),
    )
    machine = lab.machines.machine(lab.spec("i-1", disks=disks))
    with pytest.raises(MachineError, match="machine i-1 did not boot: disk d-gone does not exist"):
        await machine.start()
    assert loops.under(lab.machines._state_dir) == before


async def test_machines_start_and_go_side_by_side(lab: Lab) -> None:
    names = [f"i-{number}" for number in range(4)]
    machines = await asyncio.gather(*(lab.boot(name, f"d-{name}") for name in names))
    said = await asyncio.gather(*(lab.run(name, "hostname") for name in names))
    assert [text.strip() for text in said] == names
    await asyncio.gather(*(machine.destroy() for machine in machines))


async def test_machines_reach_each_other_but_not_the_outside(lab: Lab) -> None:
    await asyncio.gather(lab.boot("i-1"), lab.boot("i-2"))
    other = lab.machines.reserve_ip("i-2")
    await lab.run("i-1", f"exec 3<>/dev/tcp/{other}/22")
    outside = await lab.try_run("i-1", "exec 3<>/dev/tcp/192.0.2.1/80")
    assert outside.returncode == 1
