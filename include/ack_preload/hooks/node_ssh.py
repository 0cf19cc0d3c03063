"""SSH to machines: build instances by a key of the run, live nodes by the Airflow connection.

Host keys. A live node is checked as its ``ssh`` connection says. A build instance is new: its key
is read once, at the first contact of a run, and every later connection of the run insists on it.
That first contact is trusted blindly; it takes place within the VPC.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from ack_preload.domain.errors import InvalidInputError, NodeUnreachableError
from ack_preload.hooks.account import DEFAULT_CONN_ID, Account
from ack_preload.hooks.run_key import RunKey, run_key
from ack_preload.hooks.ssh_calls import (
    CONNECT_TIMEOUT_S,
    ScriptCall,
    ScriptResult,
    arun,
    run,
    scan_host_key,
)

if TYPE_CHECKING:
    from airflow.providers.ssh.hooks.ssh import SSHHook, SSHHookAsync
    from airflow.sdk import Connection

__all__ = ["Host", "NodeSshHook", "RunKey", "run_key"]

T = TypeVar("T")

SSH_PORT = 22
UNKNOWN_HOST = "not found in known_hosts"
"""How paramiko words the refusal of a host that the connection tells nothing of."""
KEEPALIVE_S = 15
BOOTS_WITHIN_S = 180.0
"""From Running in ECS to an sshd that answers: a slow boot, several times over."""
LIVE_WITHIN_S = 20.0
"""For a node that is up already: long enough for a refused connection or two."""
ANSWERS_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Host:
    """Where a machine is and how to know it; plain values, so that a trigger can carry it.

    :ivar dag_id: with ``run_id``, whose key opens it; both empty for a live node.
    :ivar host_key: as ``known_hosts`` has it, ``ssh-ed25519 AAAA...``; empty before first contact.
    """

    address: str
    dag_id: str = ""
    run_id: str = ""
    host_key: str = ""

    @property
    def is_of_run(self) -> bool:
        return bool(self.run_id)

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> Host:
        return cls(**{each.name: str(value.get(each.name) or "") for each in fields(cls)})


class NodeSshHook(BaseHook):
    """One machine over SSH, by Airflow's SSH provider. Building one does no I/O.

    :param is_new: whether the machine may still be booting; that of a run always may.
    """

    def __init__(self, host: Host, *, conn_id: str = DEFAULT_CONN_ID, is_new: bool = False) -> None:
        super().__init__()
        self.host = host
        self.conn_id = conn_id
        self.connects_within_s = BOOTS_WITHIN_S if is_new or host.is_of_run else LIVE_WITHIN_S

    # -- for tasks

    def run_script(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        secret: bytes = b"",
        within_s: float = ANSWERS_WITHIN_S,
    ) -> ScriptResult:
        """Run a script that ends soon; what takes long is a job (``job.sh``).

        :param secret: handed over on stdin ahead of ``stdin``, with a NUL after it.
        :raises NodeUnreachableError: when there is no connection, or no answer in time.
        """
        account = Account.get(self.conn_id)
        ssh_conn = self.get_connection(account.ssh_conn_id)
        hook = self._ssh_hook(account, ssh_conn)
        with self._patiently(ssh_conn, hook.get_conn) as client:
            try:
                result = run(client, ScriptCall(name, arguments, stdin, secret), within_s)
            except (OSError, EOFError) as exc:  # a time-out is an OSError
                raise self._unreachable(ssh_conn, exc) from exc
        for line in result.stderr.splitlines():
            self.log.info("%s", line)
        return result

    def read_host_key(self) -> str:
        """Wait until the machine answers, and return its host key.

        :raises NodeUnreachableError: when it does not answer while a machine may be booting.
        """
        account = Account.get(self.conn_id)
        ssh_conn = self.get_connection(account.ssh_conn_id)
        port = ssh_conn.port or SSH_PORT
        return self._patiently(ssh_conn, lambda: scan_host_key(self.host.address, port))

    def _ssh_hook(self, account: Account, ssh_conn: Connection) -> SSHHook:
        from airflow.providers.ssh.hooks.ssh import SSHHook

        if not self.host.is_of_run:
            return SSHHook(
                ssh_conn_id=account.ssh_conn_id,
                remote_host=self.host.address,
                keepalive_interval=KEEPALIVE_S,
                conn_retry_attempts=1,
            )
        import paramiko

        hook = SSHHook(
            remote_host=self.host.address,
            username=ssh_conn.login or "root",
            port=ssh_conn.port or SSH_PORT,
            conn_timeout=int(CONNECT_TIMEOUT_S),
            keepalive_interval=KEEPALIVE_S,
            conn_retry_attempts=1,
        )
        hook.look_for_keys = False
        hook.pkey = paramiko.Ed25519Key.from_private_key(StringIO(self._run_key(account).private))
        kind, _, body = self._pinned().partition(" ")
        key = paramiko.PKey.from_type_string(kind, base64.b64decode(body))
        hook.host_key = key  # type: ignore[assignment]  # the hook lists three kinds, any will do
        return hook

    def _patiently(self, ssh_conn: Connection, connect: Callable[[], T]) -> T:
        """Try to connect while the machine may still be booting."""
        import paramiko
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        retrying = Retrying(
            stop=stop_after_delay(self.connects_within_s),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            retry=retry_if_exception(self._may_pass),
            reraise=True,
        )
        try:
            return retrying(connect)
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise self._unreachable(ssh_conn, exc) from exc

    def _may_pass(self, exc: BaseException) -> bool:
        """Tell whether another attempt may succeed.

        A refused key may on a new machine: cloud-init writes the keys while sshd answers
        already. A wrong or unknown host key never does.
        """
        import paramiko

        if isinstance(exc, paramiko.BadHostKeyException) or UNKNOWN_HOST in str(exc):
            return False
        if isinstance(exc, paramiko.AuthenticationException):
            return self.host.is_of_run
        return isinstance(exc, OSError | EOFError | paramiko.SSHException)

    # -- for triggers

    async def arun_script(
        self, name: str, *arguments: str, stdin: bytes = b"", within_s: float = ANSWERS_WITHIN_S
    ) -> ScriptResult:
        """As :meth:`run_script`, with one attempt: a trigger looks again anyway."""
        import asyncssh

        asyncssh.set_log_level("WARNING")  # else a dozen lines in the task log for every look
        account = await Account.aget(self.conn_id)
        ssh_conn = await self.aget_connection(account.ssh_conn_id)
        hook = self._async_hook(account, ssh_conn)
        try:
            async with asyncio.timeout(within_s), await hook.get_conn() as connection:
                return await arun(connection, ScriptCall(name, arguments, stdin))
        except (OSError, asyncssh.Error) as exc:  # a time-out is an OSError
            raise self._unreachable(ssh_conn, exc) from exc

    def _async_hook(self, account: Account, ssh_conn: Connection) -> SSHHookAsync:
        from airflow.providers.ssh.hooks.ssh import SSHHookAsync

        if not self.host.is_of_run:
            return SSHHookAsync(ssh_conn_id=account.ssh_conn_id, host=self.host.address)

        class OfTheRun(SSHHookAsync):
            def _parse_extras(self, conn: Any) -> None:
                """Read none: the connection's extras are about live nodes and their key."""

        hook = OfTheRun(
            ssh_conn_id=account.ssh_conn_id,
            host=self.host.address,
            username=ssh_conn.login or "root",
            private_key=self._run_key(account).private,
            keepalive_interval=KEEPALIVE_S,
        )
        hook.known_hosts = f"{self.host.address} {self._pinned()}\n".encode()
        return hook

    # -- both

    def _run_key(self, account: Account) -> RunKey:
        return run_key(account, self.host.dag_id, self.host.run_id)

    def _pinned(self) -> str:
        if not self.host.host_key:
            raise InvalidInputError(
                f"host_key of {self.host.address} is empty; pass on what prepare_disk returned"
            )
        return self.host.host_key

    def _unreachable(self, ssh_conn: Connection, exc: BaseException) -> NodeUnreachableError:
        where = f"{ssh_conn.login or 'root'}@{self.host.address}:{ssh_conn.port or SSH_PORT}"
        return NodeUnreachableError(f"{where} cannot be used over SSH: {_reason(exc)}")


def _reason(exc: BaseException) -> str:
    """Say what happened and what to do about it."""
    name = type(exc).__name__
    said = str(exc) or name
    if name in ("AuthenticationException", "PermissionDenied"):
        return f"{said}; the machine does not take the key of the connection or of the run"
    if name in ("BadHostKeyException", "HostKeyNotVerifiable") or UNKNOWN_HOST in said:
        return (
            f"{said}; give the connection its host_key, or, if the address belonged to another "
            "machine before, remove it from ~/.ssh/known_hosts of the workers"
        )
    return f"{said}; check that it runs, its security group and the route from the workers"
