"""Paper machines: what they do, and that what runs on them cannot touch the host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from emulator.clock import Clock
from emulator.kube.store import KubeStore
from emulator.machines import paper_processes
from emulator.machines.base import DiskAttachment, MachineError, MachineSpec
from emulator.machines.paper import PaperMachines
from emulator.machines.paper_machine import PaperMachine
from emulator.machines.paper_shell import WRAPPED
from emulator.machines.paper_tools import sandbox
from emulator.settings import Settings

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode()
landlock = pytest.mark.skipif(not sandbox.is_available(), reason="this kernel has no Landlock")


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[PaperMachines]:
    clock = Clock()
    paper = PaperMachines(Settings(), clock, KubeStore(clock), tmp_path / "state")
    await paper.open()
    yield paper
    await paper.close()


async def started(
    machines: PaperMachines, machine_id: str = "i-1", *, keys: tuple[str, ...] = (PUBLIC,)
) -> PaperMachine:
    disk_id = f"d-{machine_id}"
    await machines.create_disk(disk_id, 40)
    machine = machines.machine(
        MachineSpec(
            machine_id=machine_id,
            hostname="paper",
            private_ip=machines.reserve_ip(machine_id),
            authorized_keys=keys,
            disks=(DiskAttachment(disk_id, "/dev/vdb", "bp1c0ffee00000000001", 40),),
        )
    )
    await machine.start()
    return machine


async def ssh(
    machines: PaperMachines, machine: PaperMachine, command: str, *, stdin: str = ""
) -> asyncssh.SSHCompletedProcess:
    options = {"username": "root", "client_keys": [KEY], "known_hosts": None}
    address = machine.spec.private_ip
    async with asyncssh.connect(address, machines.ssh_port, **options) as connection:
        return await connection.run(command, input=stdin)


async def there(path: Path) -> None:
    """Wait until a process on a machine has made a file."""
    async with asyncio.timeout(30):
        while not path.exists():
            await asyncio.sleep(0.02)


async def test_a_command_gets_its_input_and_gives_output_and_exit_code(
    machines: PaperMachines,
) -> None:
    done = await ssh(machines, await started(machines), "cat; echo no >&2; exit 7", stdin="yes")
    assert (done.stdout, done.stderr, done.exit_status) == ("yes", "no\n", 7)


@pytest.mark.parametrize("user", ["root", "admin"])
async def test_a_foreign_key_or_user_is_turned_away(machines: PaperMachines, user: str) -> None:
    machine = await started(machines)
    key = asyncssh.generate_private_key("ssh-ed25519") if user == "root" else KEY
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            machine.spec.private_ip,
            machines.ssh_port,
            username=user,
            client_keys=[key],
            known_hosts=None,
        )


async def test_machines_have_host_keys_of_their_own(machines: PaperMachines) -> None:
    one, other = await started(machines, "i-1"), await started(machines, "i-2")
    assert one.ssh.host_key != other.ssh.host_key
    scanned = await asyncssh.get_server_host_key(one.spec.private_ip, machines.ssh_port)
    assert scanned is not None
    assert scanned.export_public_key().decode().split()[:2] == one.ssh.host_key.split()[:2]


async def test_a_key_that_cannot_be_read_is_an_error(machines: PaperMachines) -> None:
    with pytest.raises(MachineError, match="authorized key"):
        await started(machines, keys=("ssh-ed25519 nonsense",))


async def test_the_tools_of_the_host_are_not_there(machines: PaperMachines) -> None:
    tools = "python3 perl ssh sudo kill-all mkfs.xfs dd reboot shutdown useradd losetup insmod"
    done = await ssh(machines, await started(machines), f"type -P {tools}")
    assert done.stdout == ""


@pytest.mark.parametrize("tool", sorted({*WRAPPED} - {"mktemp", "tar"}))
async def test_a_tool_that_writes_takes_the_machines_folder_for_the_root(
    machines: PaperMachines, tmp_path: Path, tool: str
) -> None:
    """Without Landlock this alone stands between a script and the host."""
    victim = tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_text("intact")
    commands = {
        "chmod": f"chmod 0 {victim}/file",
        "chown": f"chown 65534 {victim}/file",
        "cp": f"cp /etc/hostname {victim}/file",
        "find": f"find {victim} -delete",
        "install": f"install /etc/hostname {victim}/file",
        "ln": f"ln -sf /etc/hostname {victim}/file",
        "mkdir": f"mkdir -p {victim}/made",
        "mv": f"mv {victim}/file {victim}/moved",
        "rm": f"rm -rf {victim}",
        "rmdir": f"rmdir {victim}/folder",
        "tee": f"echo gone | tee {victim}/file",
        "touch": f"touch {victim}/made",
        "truncate": f"truncate -s 0 {victim}/file",
    }
    await ssh(machines, await started(machines), commands[tool])
    assert sorted(path.name for path in victim.iterdir()) == ["file", "folder"]
    assert (victim / "file").read_text() == "intact"
    assert (victim / "file").stat().st_mode & 0o777 != 0


@landlock
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("echo gone >{victim}/file", id="redirection"),
        pytest.param("echo more >>{victim}/file", id="appending"),
        pytest.param("sed -i s/intact/gone/ {victim}/file", id="sed"),
        pytest.param("awk 'BEGIN {{ print > \"{victim}/file\" }}'", id="awk"),
        pytest.param("sort -o {victim}/file /dev/null", id="sort"),
        pytest.param("/bin/rm -rf {victim}", id="by full path"),
        pytest.param("/bin/rm -rf ../../../../../victim", id="by relative path"),
        pytest.param("cd {victim} && rm -rf file folder", id="after cd"),
        pytest.param("ln -s {victim} link; echo gone >link/file", id="through a link"),
        pytest.param("(sleep 0.1; echo gone >{victim}/file) & wait", id="in the background"),
    ],
)
async def test_nothing_on_a_machine_can_write_outside_of_it(
    machines: PaperMachines, tmp_path: Path, command: str
) -> None:
    victim = tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_text("intact")
    await ssh(machines, await started(machines), command.format(victim=victim))
    assert sorted(path.name for path in victim.iterdir()) == ["file", "folder"]
    assert (victim / "file").read_text() == "intact"


@landlock
async def test_a_machine_cannot_write_to_another_or_to_its_tools(
    machines: PaperMachines,
) -> None:
    one, other = await started(machines, "i-1"), await started(machines, "i-2")
    targets = [other.root.path / "root/x", one.shell.tools / "bin/x", other.root.folder / "x"]
    for target in targets:
        assert (await ssh(machines, one, f"echo x >{target}")).exit_status == 1
        assert not target.exists()


async def test_the_procedures_own_commands_work_as_written(machines: PaperMachines) -> None:
    """Absolute paths and all: the machine's folder is their root."""
    machine = await started(machines)
    steps = f"""
        set -e
        fdisk -l | grep -c 'Disk /dev/vd'
        mkdir -p /mnt/example; mkfs.ext4 /dev/vdb; mount /dev/vdb /mnt/example
        mkdir -p /var/lib/containerd /mnt/example/containerd/
        mount --bind /mnt/example/containerd/ /var/lib/containerd
        yum install -y containerd-1.6.20 >/dev/null
        systemctl start containerd
        ctr -n k8s.io images pull {machines.workload_image()}
        crictl images | wc -l
        mkdir -p /mnt/example/ack
        export KUBE_VERSION=1.32.1-aliyun.1
        package=kubernetes-$KUBE_VERSION-linux-amd64.tar.gz
        wget -q {machines.packages_url}/public/pkg/kubernetes/$package
        tar -xf $package
        mv pkg/kubernetes /mnt/example/ack/
    """
    done = await ssh(machines, machine, steps)
    assert done.stderr == ""
    assert str(done.stdout).split() == ["2", "done", "2"]
    disk = machine.root.path / "mnt/example"
    assert (disk / "ack/kubernetes/bin/kubelet").is_file()


async def test_a_stop_ends_what_runs_and_unmounts(machines: PaperMachines) -> None:
    machine = await started(machines)
    mark = machine.root.path / "root/alive"
    await ssh(
        machines,
        machine,
        "mkfs.ext4 /dev/vdb; mkdir -p /mnt/a; mount /dev/vdb /mnt/a; "
        f"(set -m; while sleep 0.05; do echo x >>{mark}; done) >/dev/null 2>&1 </dev/null &",
    )
    await there(mark)
    await machine.stop()
    assert paper_processes.running(machine.root.path, set()) == []
    assert machine.root.mounts() == []
    with pytest.raises(ConnectionRefusedError):
        await ssh(machines, machine, "true")


async def test_a_detached_process_outlives_its_connection(machines: PaperMachines) -> None:
    machine = await started(machines)
    mark = machine.root.path / "root/done"
    await ssh(machines, machine, f"(sleep 0.3; touch {mark}) >/dev/null 2>&1 </dev/null &")
    await there(mark)


async def test_files_on_a_disk_survive_the_machine(machines: PaperMachines) -> None:
    machine = await started(machines)
    await ssh(
        machines,
        machine,
        "mkfs.ext4 /dev/vdb; mkdir -p /a; mount /dev/vdb /a; echo x | tee /a/f; umount /a",
    )
    await machine.stop()
    await machines.create_snapshot("s-1", "d-i-1")
    await machine.destroy()
    assert not machine.root.folder.exists()
    await machines.create_disk("d-2", 80, snapshot_id="s-1")
    assert (machines._ground.disk("d-2") / "files/f").read_text() == "x\n"
    await machines.delete_snapshot("s-1")
    await machines.delete_disk("d-2")
    with pytest.raises(MachineError, match="s-1 does not exist"):
        await machines.create_disk("d-3", 40, snapshot_id="s-1")


async def test_a_snapshot_of_a_mounted_disk_loses_its_contents(machines: PaperMachines) -> None:
    """As a real one does: `crictl images` lists every image, and their files are empty."""
    machine = await started(machines)
    await ssh(
        machines,
        machine,
        "yum install -y containerd >/dev/null; mkfs.ext4 /dev/vdb; mkdir -p /a; "
        "mount /dev/vdb /a; mkdir /a/containerd; mount --bind /a/containerd /var/lib/containerd; "
        f"systemctl start containerd; crictl pull {machines.workload_image()}",
    )
    await machines.create_snapshot("s-1", "d-i-1")
    await machines.create_disk("d-2", 40, snapshot_id="s-1")
    files = machines._ground.disk("d-2") / "files/containerd"
    blobs = list(files.glob("*/blobs/sha256/*"))
    assert blobs
    assert all(blob.stat().st_size == 0 for blob in blobs)
    assert (files / "paper-images.json").stat().st_size > 0


async def test_an_address_is_kept_until_its_machine_is_gone(machines: PaperMachines) -> None:
    machine = await started(machines)
    assert machines.reserve_ip("i-1") == machine.spec.private_ip
    assert machines.reserve_ip("i-2") != machine.spec.private_ip
    await machine.destroy()
    assert machines.reserve_ip("i-3") == machine.spec.private_ip


async def test_two_local_clouds_have_networks_of_their_own(
    machines: PaperMachines, tmp_path: Path
) -> None:
    clock = Clock()
    other = PaperMachines(Settings(), clock, KubeStore(clock), tmp_path / "other")
    await other.open()
    try:
        assert other.gateway_ip != machines.gateway_ip
    finally:
        await other.close()
