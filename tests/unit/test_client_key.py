"""A kubeconfig with a client key, as ACK hands out: it opens the API server, and is in no file."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ack_preload.domain.errors import PreloadError
from ack_preload.hooks.kube import KubeHook
from ack_preload.hooks.kubeconfig import ClusterAccess
from tests.secrets_search import Marker, Place, files, search

HOST = "127.0.0.1"


@dataclass
class Authority:
    """A certificate authority, and what it signs."""

    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(self.name, self.key, is_ca=True)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Return certificate and key of a client or server, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = self._signed(name, key, is_ca=False)
        return certificate.public_bytes(serialization.Encoding.PEM), pem

    def _signed(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(addresses, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class _Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"gitVersion": "v1.32.1-aliyun.1"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a client without the right certificate is refused."""


@pytest.fixture
def authority() -> Authority:
    return Authority("cluster")


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """Return the address of an API server that takes clients of the authority only."""
    cert, key = authority.issue("kube-apiserver")
    pem = tmp_path / "server.pem"
    pem.write_bytes(cert + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    serving = _Server((HOST, 0), _Version)
    serving.socket = context.wrap_socket(serving.socket, server_side=True)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://{HOST}:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def kubeconfig(server: str, authority: Authority, cert: bytes, key: bytes) -> str:
    def coded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    user = {"client-certificate-data": coded(cert), "client-key-data": coded(key)}
    cluster = {"server": server, "certificate-authority-data": coded(authority.pem)}
    return yaml.safe_dump(
        {
            "current-context": "admin",
            "contexts": [{"name": "admin", "context": {"cluster": "c", "user": "admin"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
        }
    )


def held_in_memory() -> list[str]:
    """Return the files without a folder that this process has open for a kubeconfig."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():  # not on Linux
        return []
    links = [path.readlink() for path in descriptors.iterdir() if path.is_symlink()]
    return [str(link) for link in links if "kubeconfig" in str(link)]


async def test_a_client_key_opens_the_server_and_is_in_no_file(
    server: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    cert, key = authority.issue("admin")
    access = ClusterAccess.from_kubeconfig(kubeconfig(server, authority, cert, key))
    async with KubeHook.connect(access, "c1") as hook:
        assert await hook.version() == "v1.32.1-aliyun.1"
        assert not held_in_memory()  # as a file of that sort, either
    markers = [Marker.of_key("client key", key), Marker.of("client certificate", cert)]
    places = [*files("file", scratch), Place.of_text("text", "access", repr(access))]
    assert search(markers, places) == []
    assert {
        found.marker for found in search(markers, [Place("planted", "pem", lambda: [cert + key])])
    } == {
        "client key",
        "client certificate",
    }


async def test_a_client_of_another_authority_is_refused_and_its_key_not_quoted(
    server: str, authority: Authority
) -> None:
    cert, key = Authority("other").issue("admin")
    access = ClusterAccess.from_kubeconfig(kubeconfig(server, authority, cert, key))
    async with KubeHook.connect(access, "c1") as hook:
        with pytest.raises(PreloadError) as caught:
            await hook.version()
    said = Place.of_text("text", "error", f"{caught.value!r} {caught.value.__cause__!r}")
    assert search([Marker.of_key("client key", key)], [said]) == []
