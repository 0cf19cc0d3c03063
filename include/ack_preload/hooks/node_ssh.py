"""SSH to machines: build instances by a key of the run, live nodes by the Airflow connection.

Host keys. No connection is made to a machine whose host key is not known beforehand, and none goes
on with another one: nothing is trusted on first use, and no file of known hosts grows. The key
comes with the :class:`Host`, from Cloud Assistant, or for live nodes from the connection's extras
``host_key`` or ``known_hosts``.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from ack_preload.domain.errors import InvalidInputError, NodeUnreachableError
from ack_preload.domain.grammar import address
from ack_preload.domain.host_key import host_key
from ack_preload.hooks.account import Account
from ack_preload.hooks.host import Host
from ack_preload.hooks.loading import load
from ack_preload.hooks.run_key import run_key
from ack_preload.hooks.ssh_calls import CONNECT_TIMEOUT_S, ScriptCall, ScriptResult, arun, run

if TYPE_CHECKING:
    import paramiko
    from airflow.providers.ssh.hooks.ssh import SSHHook, SSHHookAsync
    from airflow.sdk import Connection

T = TypeVar("T")

SSH_PORT = 22
PINS = ("host_key", "known_hosts")
"""Extras by which an ``ssh`` connection says itself how live nodes are known."""
UNKNOWN_HOST = "not found in known_hosts"
"""How paramiko words the refusal of a host that it is told nothing of."""
KEEPALIVE_S = 15
BOOTS_WITHIN_S = 180.0
"""From Running in ECS to an sshd that answers: a slow boot, several times over."""
LIVE_WITHIN_S = 20.0
"""For a node that is up already: long enough for a refused connection or two."""


class NodeSshHook(BaseHook):
    """One machine over SSH, by Airflow's SSH provider. Building one does no I/O."""

    def __init__(self, host: Host, account: Account) -> None:
        super().__init__()
        if host.address:  # it stands in lines of known hosts
            address("address", host.address)
        self.host = host
        self.account = account
        # The machine of a run may still be booting.
        self.connects_within_s = BOOTS_WITHIN_S if host.is_of_run else LIVE_WITHIN_S

    # -- for tasks

    def run(self, call: ScriptCall, within_s: float) -> ScriptResult:
        """Run a script that ends soon.

        :raises NodeUnreachableError: when there is no connection, or no answer in time.
        """
        ssh_conn = self.get_connection(self.account.ssh_conn_id)
        with self.connected(ssh_conn) as client:
            try:
                return run(client, call, within_s)
            except (OSError, EOFError) as exc:  # a time-out is an OSError
                raise self._unreachable(ssh_conn, exc) from exc

    def connected(self, ssh_conn: Connection) -> paramiko.SSHClient:
        """Connect, to the machine that has the known host key and to no other."""
        known = self._known(ssh_conn)  # first: the provider would word a bad one worse
        hook = self._ssh_hook(ssh_conn)
        return self._patiently(ssh_conn, lambda: self._connect(hook, known))

    def _ssh_hook(self, ssh_conn: Connection) -> SSHHook:
        """Return what the provider makes of the connection; how it checks host keys is not used."""
        import paramiko
        from airflow.providers.ssh.hooks.ssh import SSHHook

        if not self.host.is_of_run:
            return SSHHook(
                ssh_conn_id=self.account.ssh_conn_id,
                remote_host=self.host.address,
                no_host_key_check=False,
            )
        hook = SSHHook(
            remote_host=self.host.address,
            username=ssh_conn.login or "root",
            port=ssh_conn.port or SSH_PORT,
            conn_timeout=int(CONNECT_TIMEOUT_S),
        )
        hook.look_for_keys = False
        hook.pkey = paramiko.Ed25519Key.from_private_key(StringIO(self._private_key()))
        return hook

    def _connect(self, hook: SSHHook, known: paramiko.PKey | str) -> paramiko.SSHClient:
        import paramiko

        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        if isinstance(known, str):
            client.load_host_keys(known)
        else:
            name = self.host.address
            name = name if hook.port == SSH_PORT else f"[{name}]:{hook.port}"
            client.get_host_keys().add(name, known.get_name(), known)
        client.connect(
            hostname=self.host.address,
            port=hook.port or SSH_PORT,
            username=hook.username,
            password=hook.password,
            pkey=hook.pkey,
            key_filename=hook.key_file,
            timeout=hook.conn_timeout,
            banner_timeout=hook.banner_timeout,
            auth_timeout=hook.auth_timeout,
            sock=hook.host_proxy,
            compress=hook.compress,
            look_for_keys=hook.look_for_keys,
            disabled_algorithms=hook.disabled_algorithms,
        )
        if transport := client.get_transport():
            transport.set_keepalive(KEEPALIVE_S)
        return client

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

    async def arun(self, call: ScriptCall, within_s: float) -> ScriptResult:
        """As :meth:`run`, with one attempt: a trigger looks again anyway."""
        await load("asyncssh", "airflow.providers.ssh.hooks.ssh")
        import asyncssh

        asyncssh.set_log_level("WARNING")  # else a dozen lines in the task log for every look
        ssh_conn = await self.aget_connection(self.account.ssh_conn_id)
        hook = self._async_hook(ssh_conn)
        try:
            async with asyncio.timeout(within_s), await hook.get_conn() as connection:
                return await arun(connection, call)
        except (OSError, asyncssh.Error) as exc:  # a time-out is an OSError
            raise self._unreachable(ssh_conn, exc) from exc

    def _async_hook(self, ssh_conn: Connection) -> SSHHookAsync:
        from airflow.providers.ssh.hooks.ssh import SSHHookAsync

        is_of_run = self.host.is_of_run
        known: bytes | str = self._known_hosts_file(ssh_conn)
        known = known or f"{self.host.address} {self.known_key(ssh_conn)}\n".encode()

        class Checked(SSHHookAsync):
            def _parse_extras(self, conn: Any) -> None:
                """Read them for live nodes, but never how they want host keys checked."""
                if not is_of_run:
                    super()._parse_extras(conn)
                self.known_hosts = known

        return Checked(
            ssh_conn_id=self.account.ssh_conn_id,
            host=self.host.address,
            username=(ssh_conn.login or "root") if is_of_run else None,
            private_key=self._private_key() if is_of_run else "",
            keepalive_interval=KEEPALIVE_S,
        )

    # -- both

    def _private_key(self) -> str:
        return run_key(self.account, self.host.dag_id, self.host.run_id).private

    def known_key(self, ssh_conn: Connection) -> str:
        """Return the host key that the machine must have, as ``known_hosts`` has it.

        :raises InvalidInputError: when nobody has said it.
        """
        if self.host.host_key:
            return host_key(self.host.host_key)
        pinned = "" if self.host.is_of_run else str(ssh_conn.extra_dejson.get("host_key") or "")
        kind, _, rest = pinned.strip().partition(" ")
        if rest.split():
            return f"{kind} {rest.split()[0]}"
        if kind:
            return f"ssh-rsa {kind}"  # as the provider takes a key without its kind
        raise InvalidInputError(
            f"host_key of {self.host.name} is empty; pass on what prepare_disk returned, or for a "
            f"live node its instance id, or give the connection {self.account.ssh_conn_id} the "
            "extra host_key or known_hosts"
        )

    def _known(self, ssh_conn: Connection) -> paramiko.PKey | str:
        """Return the key that the machine must have, or the path of a file with it."""
        import paramiko
        from paramiko.pkey import UnknownKeyType

        if path := self._known_hosts_file(ssh_conn):
            return path
        known = self.known_key(ssh_conn)
        kind, _, body = known.partition(" ")
        try:
            return paramiko.PKey.from_type_string(kind, base64.b64decode(body, validate=True))
        except (ValueError, paramiko.SSHException, UnknownKeyType) as exc:
            raise InvalidInputError(
                f"host_key of connection {self.account.ssh_conn_id} is {known[:100]!r}, which is "
                f"no public key ({exc}); write it as known_hosts does, ssh-ed25519 AAAA..."
            ) from exc

    def _known_hosts_file(self, ssh_conn: Connection) -> str:
        """Return the path of the connection's known hosts, where that counts."""
        if self.host.is_of_run or self.host.host_key or ssh_conn.extra_dejson.get("host_key"):
            return ""
        return os.path.expanduser(str(ssh_conn.extra_dejson.get("known_hosts") or ""))  # noqa: PTH111

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
            f"{said}; nothing was sent. If the machine got a new key or its address belonged to "
            "another one before, run the task again or mend host_key or known_hosts of the "
            "connection; else somebody stands between"
        )
    return f"{said}; check that it runs, its security group and the route from the workers"
