"""What a connection says about an account, and the SDK configuration made from it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook

from ack_preload.domain import grammar
from ack_preload.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from alibabacloud_tea_openapi.utils_models import Config

CONN_TYPE = "alibaba_cloud"
DEFAULT_CONN_ID = "alibabacloud_default"
DEFAULT_SSH_CONN_ID = "ack_preload_ssh"
PACKAGES_URL = "http://aliacs-k8s-{region}.oss-{region}-internal.aliyuncs.com"

VISIBLE_WITHIN_S = 60.0
"""How late the cloud may list what it has made. No source: its pages only say "later"."""
CALLS_PER_S = 10.0
"""No rate is published for these calls; the cloud's Terraform provider stays far below."""
INSTALLATION = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")

SSH, ASSISTANT = "ssh", "assistant"
TRANSPORTS = (SSH, ASSISTANT)
"""How scripts reach a machine: over SSH, or by Cloud Assistant where there is no route to it."""

CONNECT_TIMEOUT_MS = 5_000
READ_TIMEOUT_MS = 30_000  # creating a node pool answers late; the SDK's own 10 s is short


@dataclass(frozen=True, slots=True)
class Account:
    """One account in one region, as its Airflow connection describes it.

    Keys are looked for in login and password, then in the extras of the Alibaba provider; with
    neither, the SDK's own chain decides (environment, OIDC, profile, RAM role of the instance).
    """

    conn_id: str
    region: str
    access_key_id: str | None = None
    access_key_secret: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    ecs_endpoint: str | None = None
    cs_endpoint: str | None = None
    protocol: str = "https"
    ca: str | None = None
    packages_url: str = ""
    ssh_conn_id: str = DEFAULT_SSH_CONN_ID
    ssh_seed: str | None = field(default=None, repr=False)
    transport: str = SSH
    poll_every_s: float | None = None
    calls_per_s: float = CALLS_PER_S
    installation: str | None = None
    visible_within_s: float = VISIBLE_WITHIN_S

    @classmethod
    def get(cls, conn_id: str = DEFAULT_CONN_ID) -> Account:
        """Read the connection; for tasks."""
        return cls.from_connection(BaseHook.get_connection(conn_id))

    @classmethod
    async def aget(cls, conn_id: str = DEFAULT_CONN_ID) -> Account:
        """Read the connection; for triggers, whose event loop :meth:`get` would block."""
        return cls.from_connection(await BaseHook.aget_connection(conn_id))

    @classmethod
    def from_connection(cls, conn: Connection) -> Account:
        """Read the connection's fields.

        :raises InvalidInputError: naming the field and the mend.
        """
        extra: dict[str, Any] = conn.extra_dejson
        region = extra.get("region") or extra.get("region_id")
        if not region:
            raise InvalidInputError(
                f"connection {conn.conn_id} has no region; add the extra, such as cn-hangzhou"
            )
        grammar.region(f"connection {conn.conn_id}: region", region)
        endpoint = partial(_parsed, conn.conn_id, grammar.endpoint)
        packages = partial(_parsed, conn.conn_id, grammar.http_url)
        return cls(
            conn_id=conn.conn_id,
            region=region,
            access_key_id=conn.login or extra.get("access_key_id") or None,
            access_key_secret=conn.password or extra.get("access_key_secret") or None,
            security_token=extra.get("security_token") or None,
            ecs_endpoint=endpoint("ecs_endpoint", extra.get("ecs_endpoint")),
            cs_endpoint=endpoint("cs_endpoint", extra.get("cs_endpoint")),
            protocol=_protocol(conn.conn_id, extra.get("protocol") or "https"),
            ca=extra.get("ca") or None,
            packages_url=packages("packages_url", extra.get("packages_url"))
            or PACKAGES_URL.format(region=region),
            ssh_conn_id=extra.get("ssh_conn_id") or DEFAULT_SSH_CONN_ID,
            ssh_seed=_seed(conn.conn_id, extra),
            transport=_transport(conn.conn_id, extra.get("transport") or SSH),
            poll_every_s=_seconds(conn.conn_id, "poll_every_s", extra.get("poll_every_s")),
            calls_per_s=_rate(conn.conn_id, extra.get("calls_per_s")),
            installation=_installation(conn.conn_id, extra.get("installation")),
            visible_within_s=_seconds(
                conn.conn_id, "visible_within_s", extra.get("visible_within_s")
            )
            or VISIBLE_WITHIN_S,
        )

    def config(self, endpoint: str | None) -> Config:
        """Return the SDK's configuration; an ``endpoint`` is ``host[:port]``."""
        from alibabacloud_tea_openapi.utils_models import Config

        config = Config(
            region_id=self.region,
            endpoint=endpoint,
            protocol=self.protocol,
            ca=self.ca,
            connect_timeout=CONNECT_TIMEOUT_MS,
            read_timeout=READ_TIMEOUT_MS,
            user_agent="ack-preload",
            http_proxy=_proxy(endpoint),
        )
        if self.access_key_id and self.access_key_secret:
            config.access_key_id = self.access_key_id
            config.access_key_secret = self.access_key_secret
            config.security_token = self.security_token
        else:
            from alibabacloud_credentials.client import Client

            config.credential = Client()
        return config


def _proxy(endpoint: str | None) -> str | None:
    """Return the proxy for plain HTTP calls to ``endpoint``; ``None`` leaves it to the SDK.

    The SDK obeys ``HTTP_PROXY`` even for loopback, and heeds no form of ``no_proxy``. But it
    prefers a proxy of the configuration, and an endpoint is a fine proxy to itself: every HTTP
    server takes the absolute form of a request (RFC 9112, 3.2.2).
    """
    from_environment = os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy")
    if endpoint is None or not from_environment or not _is_loopback(endpoint):
        return None
    return f"http://{endpoint}"


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(f"//{endpoint}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parsed(conn_id: str, parse: Callable[[str, Any], str], name: str, value: Any) -> str | None:
    return parse(f"connection {conn_id}: {name}", value) if value else None


def _seed(conn_id: str, extra: dict[str, Any]) -> str | None:
    if "ssh_seed" in extra:
        raise InvalidInputError(
            f"connection {conn_id}: the extra ssh_seed is now ssh_secret; rename it. Airflow shows "
            "extras to people and in logs unless their name says that they are secret"
        )
    return extra.get("ssh_secret") or None


def _protocol(conn_id: str, value: str) -> str:
    if value not in ("http", "https"):
        raise InvalidInputError(f"connection {conn_id}: protocol is {value!r}; use http or https")
    return value


def _transport(conn_id: str, value: Any) -> str:
    if value not in TRANSPORTS:
        raise InvalidInputError(
            f"connection {conn_id}: transport is {value!r}; use {' or '.join(TRANSPORTS)}"
        )
    return str(value)


def _installation(conn_id: str, value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not INSTALLATION.fullmatch(str(value)):
        raise InvalidInputError(
            f"connection {conn_id}: installation is {value!r}; use 1 to 31 small letters, digits "
            "and -, a letter or digit first"
        )
    return str(value)


def _seconds(conn_id: str, name: str, value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if seconds <= 0:
        raise InvalidInputError(
            f"connection {conn_id}: {name} is {value!r}; use a number of seconds above 0"
        )
    return seconds


def _rate(conn_id: str, value: Any) -> float:
    if value in (None, ""):
        return CALLS_PER_S
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InvalidInputError(
            f"connection {conn_id}: calls_per_s is {value!r}; use a number of calls above 0"
        )
    return rate
