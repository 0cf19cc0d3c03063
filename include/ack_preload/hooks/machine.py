"""Scripts on a machine, by the transport that the cloud connection names: SSH or Cloud Assistant.

Whoever runs something on a machine takes it from :func:`machine` and need not know which it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from airflow.sdk import BaseHook

from ack_preload.domain.errors import InvalidInputError, NodeUnreachableError, PreloadError
from ack_preload.domain.host_key import host_key
from ack_preload.hooks.account import ASSISTANT, DEFAULT_CONN_ID, Account
from ack_preload.hooks.assistant import AssistantHook
from ack_preload.hooks.host import Host
from ack_preload.hooks.node_ssh import PINS, NodeSshHook
from ack_preload.hooks.ssh_calls import ScriptCall, ScriptResult

__all__ = ["Host", "Machine", "machine", "read_host_key"]

ANSWERS_WITHIN_S = 120.0
KEY_WITHIN_S = 30.0


class Machine(Protocol):
    """One machine that runs scripts of ``ack_preload/remote``."""

    def run_script(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        secret: bytes = b"",
        within_s: float = ANSWERS_WITHIN_S,
    ) -> ScriptResult:
        """Run a script that ends soon; what takes long is a job (``job.sh``).

        :param secret: handed over on stdin ahead of ``stdin``, with a NUL after it; over SSH only.
        :raises NodeUnreachableError: when it cannot be reached, or gives no answer in time.
        """

    async def arun_script(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        within_s: float = ANSWERS_WITHIN_S,
    ) -> ScriptResult:
        """As :meth:`run_script`, for triggers: one attempt, for a trigger looks again anyway."""


def machine(host: Host, conn_id: str = DEFAULT_CONN_ID) -> Machine:
    """Return a machine; nothing is read and nobody is asked yet."""
    return _ByConnection(host, conn_id)


class _ByConnection(BaseHook):
    def __init__(self, host: Host, conn_id: str) -> None:
        super().__init__()
        self.host = host
        self.conn_id = conn_id

    def run_script(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        secret: bytes = b"",
        within_s: float = ANSWERS_WITHIN_S,
    ) -> ScriptResult:
        account = Account.get(self.conn_id)
        call = ScriptCall(name, arguments, stdin, secret)
        if account.transport == ASSISTANT:
            hook = AssistantHook(self.conn_id, account=account)
            result = hook.run_script(self._instance_id(), call, within_s)
        else:
            result = NodeSshHook(self._known(account), account).run(call, within_s)
        for line in result.stderr.splitlines():
            self.log.info("%s", line)
        return result

    async def arun_script(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        within_s: float = ANSWERS_WITHIN_S,
    ) -> ScriptResult:
        account = await Account.aget(self.conn_id)
        call = ScriptCall(name, arguments, stdin)
        if account.transport == ASSISTANT:
            hook = AssistantHook(self.conn_id, account=account)
            return await hook.arun_script(self._instance_id(), call, within_s)
        return await NodeSshHook(self.host, account).arun(call, within_s)

    def _instance_id(self) -> str:
        if not self.host.instance_id:
            raise InvalidInputError(
                f"instance_id of {self.host.name} is empty, and the transport is assistant, which "
                "knows machines by nothing else; pass nodes as their node pool's task returns them"
            )
        return self.host.instance_id

    def _known(self, account: Account) -> Host:
        """Return the host with its key, which is asked for unless somebody has said it."""
        host = self.host
        if host.is_of_run or host.host_key or not host.instance_id:
            return host
        extras = self.get_connection(account.ssh_conn_id).extra_dejson
        if any(extras.get(each) for each in PINS):
            return host
        try:
            return replace(host, host_key=read_host_key(host.instance_id, account))
        except NodeUnreachableError as exc:
            raise NodeUnreachableError(
                f"the host key of {host.name} cannot be read: {exc}; or give the connection "
                f"{account.ssh_conn_id} the extra known_hosts"
            ) from exc


def read_host_key(instance_id: str, account: Account) -> str:
    """Return the public host key of an instance, as the cloud's own agent on it reads it.

    :raises NodeUnreachableError: when the agent cannot be reached.
    :raises RemoteJobError: when there is no key yet.
    :raises InvalidInputError: when what is there is not one ed25519 key.
    """
    hook = AssistantHook(account.conn_id, account=account)
    said = hook.run_script(instance_id, ScriptCall("host_key.sh"), KEY_WITHIN_S).checked().stdout
    try:
        return host_key(said)
    except PreloadError as exc:
        raise InvalidInputError(f"instance {instance_id}: {exc}") from exc
