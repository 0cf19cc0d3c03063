"""Scripts of Cloud Assistant on a real machine: by way of its namespaces, not of its sshd."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emulator.machines.base import MachineError, Script, ScriptRefusedError
from emulator.machines.real.commands import LIMIT_S, environment
from emulator.machines.real.processes import Identity, wait_gone
from emulator.machines.script_process import SIGNALLED, ScriptProcess

ASSIST = "/opt/ack-machine/assist.sh"  # as the machine sees it
REFUSALS = {
    71: ("AccountNotExists", "there is no user {script.username}"),
    72: ("DirectoryNotExists", "there is no {script.working_dir}"),
}
DIES_WITHIN_S = 1.0
# nsenter moves into namespaces and not into control groups, by which a machine's end is complete.
JOIN = 'for group in "${@:2:$1}"; do echo $$ >"$group/cgroup.procs"; done; shift "$(($1 + 1))"'


class MachineScript(ScriptProcess):
    """A script whose machine may die under it, without anybody having told it to."""

    machine: Identity | None = None  # its first process

    async def wait(self) -> int:
        code = await super().wait()
        if code != SIGNALLED or self.was_killed or self.machine is None:
            return code
        # The kernel ends all others first, so the first process may still be about to go.
        if await asyncio.to_thread(wait_gone, self.machine, DIES_WITHIN_S):
            raise MachineError("its machine died")
        return code


class Scripts:
    """The scripts of one running machine."""

    def __init__(self, init: Identity, groups: Sequence[Path]) -> None:
        self._init = init
        # Version 2: a group that hands on controllers may hold no process itself.
        self._groups = [g / "init.scope" if (g / "init.scope").is_dir() else g for g in groups]
        self._running: list[MachineScript] = []

    def save(self, script: Script) -> None:
        """Put a script where the agent keeps it.

        :raises ScriptRefusedError: when the machine has not its user or its folder.
        :raises MachineError: when it cannot be kept there.
        """
        try:
            done = subprocess.run(
                self._command("save", script),
                input=script.content,
                capture_output=True,
                env=environment(),
                cwd="/",
                check=False,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            raise MachineError(f"{script.script_id} is not kept after {LIMIT_S:.0f} s") from None
        if done.returncode in REFUSALS:
            code, reason = REFUSALS[done.returncode]
            raise ScriptRefusedError(code, reason.format(script=script))
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise MachineError(f"{script.script_id} is not kept: exit {done.returncode}: {said}")

    async def start(self, script: Script) -> MachineScript:
        process = await MachineScript.start(
            self._command("run", script), cwd=Path("/"), env=environment(), own=only_child
        )
        process.machine = self._init
        self._running = [each for each in self._running if not each.has_ended]
        self._running.append(process)
        return process

    async def end(self) -> None:
        """Kill all of them, as the agent's end does."""
        for process in self._running:
            process.kill(tree=True)
            with contextlib.suppress(MachineError):
                await process.wait()

    def _command(self, verb: str, script: Script) -> list[str]:
        return [
            *("bash", "-ec", f'{JOIN}; exec "$@"', "bash"),
            str(len(self._groups)),
            *map(str, self._groups),
            *("nsenter", f"--target={self._init.pid}", "--mount", "--uts", "--ipc", "--net"),
            *("--pid", "--cgroup", ASSIST, verb),
            *(script.script_id, script.username, script.working_dir),
        ]


def only_child(pid: int) -> int | None:
    """Return the process that nsenter waits for: entering a PID namespace takes a child."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
