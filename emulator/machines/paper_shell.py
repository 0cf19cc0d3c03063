"""How a paper machine runs commands and scripts: confined to its folder, with its own tools."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from emulator.machines.base import Script, ScriptRefusedError
from emulator.machines.paper_tools import sandbox
from emulator.machines.script_process import ScriptProcess

SCRIPTS = "usr/local/share/aliyun-assist/work/script"  # where the agent keeps them, for good


@dataclass(slots=True)
class Shell:
    """How to run a command on one machine: confined, with nothing but its own tools."""

    root: Path
    tools: Path
    writable: tuple[Path, ...]
    sessions: set[int] = field(default_factory=set)
    scripts: list[ScriptProcess] = field(default_factory=list)
    is_used: bool = False  # a process may run, or be about to

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root / 'usr/local/bin'}:{self.root / 'usr/bin'}:{self.tools / 'bin'}",
            "HOME": str(self.root / "root"),
            "TMPDIR": str(self.root / "tmp"),
            "USER": "root",
            "LANG": "C.UTF-8",
            "ACK_PRELOAD_ROOT": str(self.root),
        }

    def _confine(self) -> list[str]:
        return [sys.executable, "-I", "-S", sandbox.__file__, *map(str, self.writable), "--"]

    async def run(self, command: str) -> asyncio.subprocess.Process:
        """Start a command line; the caller feeds and reads its streams."""
        self.is_used = True
        bash = [shutil.which("bash") or "/bin/bash", "--noprofile", "--norc", "-c", command]
        process = await asyncio.create_subprocess_exec(
            *self._confine(),
            *bash,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.root / "root",
            env=self.environment(),
            start_new_session=True,
        )
        self.sessions.add(process.pid)
        return process

    async def run_script(self, script: Script) -> ScriptProcess:
        """Start a script of Cloud Assistant, kept in a file and run as its agent does."""
        if script.username not in ("", "root"):
            raise ScriptRefusedError("AccountNotExists", f"there is no user {script.username}")
        folder = self.root / os.path.normpath(f"/{script.working_dir or 'root'}").lstrip("/")
        if not folder.is_dir() or script.working_dir[:1] not in ("", "/"):
            raise ScriptRefusedError("DirectoryNotExists", f"there is no {script.working_dir}")
        file = self.root / SCRIPTS / f"{script.script_id}.sh"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(script.content)
        file.chmod(0o755)
        self.is_used = True
        shell = shutil.which("sh") or "/bin/sh"
        process = await ScriptProcess.start(
            [*self._confine(), shell, "-c", shlex.quote(str(file))],
            cwd=folder,
            env=self.environment(),
        )
        self.sessions.add(process.pid)
        self.scripts = [*(each for each in self.scripts if not each.has_ended), process]
        return process

    async def scripts_ended(self) -> None:
        """Wait for the scripts, whose processes have been ended or end by themselves."""
        for script in self.scripts:
            await script.wait()
        self.scripts.clear()


def host_tools() -> dict[str, str]:
    """Return the host's programs that a paper machine may use, by name, with their paths."""
    found = {name: shutil.which(name, path=os.defpath + ":/usr/local/bin") for name in HARMLESS}
    return {name: path for name, path in found.items() if path}


HARMLESS = (
    *("awk", "base64", "basename", "bash", "cat", "comm", "cut", "date", "diff", "dirname", "env"),
    *("expr", "false", "flock", "grep", "gzip", "head", "id", "ls", "nohup", "nproc", "od"),
    *(
        "printf",
        "readlink",
        "realpath",
        "sed",
        "seq",
        "sh",
        "sha256sum",
        "sleep",
        "sort",
        "stat",
        "tail",
        "test",
    ),
    *("timeout", "tr", "true", "uname", "uniq", "wc", "xargs"),
)
# They change files: absolute paths among their arguments are moved into the machine.
WRAPPED = (
    *("chmod", "chown", "cp", "find", "install", "ln", "mkdir", "mktemp", "mv", "rm", "rmdir"),
    *("tar", "tee", "touch", "truncate"),
)
