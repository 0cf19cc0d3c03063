"""Logins of private registries: Airflow connections, named by a target, read where they are used.

A connection has the registry's ``host[:port]`` as host, and login and password. A password goes to
that registry alone: in a request to it or to the token server that it names, and over stdin of a
machine into containerd's CRI call. It is never part of a result, a template or a file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from ack_preload.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import Connection

HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
DOCKER_HUB, DOCKER_HUB_SERVER = "docker.io", "registry-1.docker.io"
USERNAME, PASSWORD, SERVER_ADDRESS = 1, 2, 4
"""Fields of ``AuthConfig``:
https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto"""


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """Who we are at one registry.

    :ivar host: as image references name it, ``registry.example.com`` or ``10.0.0.5:5000``.
    """

    conn_id: str
    host: str
    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header: RFC 7617."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def cri_auth(self) -> bytes:
        """CRI's ``AuthConfig``, serialized.

        With the server's address, so that containerd gives the password to no mirror.
        """
        return (
            _field(USERNAME, self.username)
            + _field(PASSWORD, self.password)
            + _field(SERVER_ADDRESS, f"https://{server_of(self.host)}")
        )

    def mask(self) -> None:
        """Have Airflow mask the password in logs, in each form in which it travels."""
        for form in (self.password, self.basic.removeprefix("Basic "), _base64(self.cri_auth)):
            mask_secret(form)


def server_of(host: str) -> str:
    """Return the server behind a registry's name in image references."""
    return DOCKER_HUB_SERVER if host == DOCKER_HUB else host


def registry_logins(conn_ids: Iterable[str]) -> dict[str, RegistryLogin]:
    """Read the connections; return the logins by registry host, masked in logs from here on.

    :raises InvalidInputError: for a connection that is missing or incomplete, or two of one host.
    """
    logins: dict[str, RegistryLogin] = {}
    for conn_id in conn_ids:
        login = _login(conn_id)
        if login.host in logins:
            raise InvalidInputError(
                f"registry_conn_ids: connections {logins[login.host].conn_id} and {conn_id} are "
                f"both for registry {login.host}; name one of them"
            )
        login.mask()
        logins[login.host] = login
    return logins


def _login(conn_id: str) -> RegistryLogin:
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as exc:
        raise InvalidInputError(
            f"registry_conn_ids: there is no connection {conn_id!r}; make it, with the registry as "
            "host, and login and password"
        ) from exc
    for name in ("login", "password"):
        if not getattr(connection, name):
            raise InvalidInputError(
                f"connection {conn_id} has no {name}; a registry's has host, login and password"
            )
    return RegistryLogin(
        conn_id, _host(connection), str(connection.login), str(connection.password)
    )


def _host(connection: Connection) -> str:
    host = (connection.host or "").removeprefix("https://").rstrip("/")
    if connection.port and ":" not in host:
        host = f"{host}:{connection.port}"
    if not HOST.fullmatch(host):
        raise InvalidInputError(
            f"connection {connection.conn_id}: host is {host!r}; write the registry as images "
            "name it, such as registry.example.com or 10.0.0.5:5000, without path"
        )
    return host


def for_machine(logins: Iterable[RegistryLogin]) -> bytes:
    """Return the lines that ``pull_images.sh`` reads from descriptor 3."""
    return "".join(
        f"{login.host} {len(login.cri_auth)} {_base64(login.cri_auth)}\n" for login in logins
    ).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _field(number: int, text: str) -> bytes:
    """Return a field of protobuf that holds text."""
    data = text.encode()
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    digits = []
    while value >> 7:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
