"""What a kubeconfig of ACK says: where the API server is and how to prove who asks.

The text holds a private key or a token. It is parsed, used and dropped: never logged, never
passed between tasks, never written to a disk.
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The current context of a kubeconfig."""

    server: str
    ca_pem: bytes | None = None
    token: str | None = field(default=None, repr=False)
    cert_pem: bytes | None = field(default=None, repr=False)
    key_pem: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_kubeconfig(cls, text: str) -> ClusterAccess:
        """Parse the YAML.

        :raises InvalidInputError: naming the field; the text itself is never quoted.
        """
        import yaml  # not at DAG parse

        try:
            config = yaml.safe_load(text)
        except yaml.YAMLError:
            # The YAML error would quote the text, hence `from None`.
            raise InvalidInputError("kubeconfig: not YAML; ask ACK for a new one") from None
        config = _mapping(config, "the whole")
        context = _named(config, "contexts", config.get("current-context"), "context")
        cluster = _named(config, "clusters", context.get("cluster"), "cluster")
        user = _named(config, "users", context.get("user"), "user")
        server = cluster.get("server")
        if not isinstance(server, str) or not server.startswith("https://"):
            raise InvalidInputError("kubeconfig: cluster.server is no https URL")
        return cls(
            server=server.rstrip("/"),
            ca_pem=_decoded(cluster, "certificate-authority-data"),
            token=user.get("token"),
            cert_pem=_decoded(user, "client-certificate-data"),
            key_pem=_decoded(user, "client-key-data"),
        )

    @contextmanager
    def configuration(self) -> Iterator[Configuration]:
        """Yield the client's configuration; build the client within, it reads files then.

        Certificates are always verified, whatever the kubeconfig says.
        """
        from kubernetes_asyncio.client import Configuration  # 1.6 s

        configuration = Configuration(host=self.server)
        configuration.verify_ssl = True
        if self.token:
            configuration.api_key["BearerToken"] = f"Bearer {self.token}"
        with _held(self.ca_pem) as ca, _held(self.cert_pem) as cert, _held(self.key_pem) as key:
            configuration.ssl_ca_cert = ca
            configuration.cert_file = cert
            configuration.key_file = key
            yield configuration


@contextmanager
def _held(data: bytes | None) -> Iterator[str | None]:
    """Yield a path that reads as ``data``: in memory on Linux, else a file deleted at once.

    Python's TLS takes a client key by path only.
    """
    if data is None:
        yield None
    elif hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubeconfig")
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pem"
            path.touch(mode=0o600)
            path.write_bytes(data)
            yield str(path)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"kubeconfig: {what} is no mapping; ask ACK for a new one")
    return value


def _named(config: Mapping[str, Any], section: str, name: object, key: str) -> Mapping[str, Any]:
    """Return ``config[section][..][key]`` of the entry called ``name``."""
    entries = config.get(section)
    if isinstance(entries, Sequence):
        for entry in entries:
            if isinstance(entry, Mapping) and entry.get("name") == name:
                return _mapping(entry.get(key), f"{section}[{name}].{key}")
    raise InvalidInputError(f"kubeconfig: {section} has no entry {name!r}")


def _decoded(entry: Mapping[str, Any], name: str) -> bytes | None:
    value = entry.get(name)
    if value in (None, ""):
        return None
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise InvalidInputError(f"kubeconfig: {name} is not base64") from None
