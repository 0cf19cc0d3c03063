"""What a registry is asked, and what is made of its answers; over HTTP on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ack_preload.domain.errors import CloudUnavailableError, InvalidInputError, UnclearReplyError
from ack_preload.domain.images import ImageReference
from ack_preload.hooks.registry import Resolved, _may_be_asked, resolve
from ack_preload.hooks.registry_login import RegistryLogin

MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"size": 10},
    "layers": [{"size": 100}, {"size": 1000}],
}


BASIC = "Basic cm9ib3Q6czNjcmV0"  # robot:s3cret


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Registry:
    """Answers what a test puts into ``answers``: path -> status and body."""

    host: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    wants_token: str = ""
    lets_in: tuple[str, ...] = ("Bearer let-me-in",)
    moved_to: str = ""  # where requests are redirected

    def login(self, password: str = "s3cret") -> dict[str, RegistryLogin]:
        return {self.host: RegistryLogin("team_registry", self.host, "robot", password)}

    def sent(self, path: str = "/v2/") -> list[str | None]:
        """Return the Authorization of each request below a path."""
        return [seen.get("Authorization") for at, seen in self.seen if at.startswith(path)]

    def put(self, reference: str, content: dict[str, Any]) -> str:
        """Serve a manifest under a tag and under its digest; return the digest."""
        body = json.dumps(content).encode()
        for name in (reference, digest(body)):
            self.answers[f"/v2/acs/app/manifests/{name}"] = (200, body)
        return digest(body)

    def name(self, suffix: str = ":1") -> ImageReference:
        return ImageReference.parse(f"{self.host}/acs/app{suffix}")


@pytest.fixture
def registry() -> Iterator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.seen.append((self.path, dict(self.headers)))
            path = self.path.partition("?")[0]
            status, body = told.answers.get(path, (404, b"{}"))
            challenge = ""
            is_let_in = self.headers.get("Authorization") in told.lets_in
            if told.wants_token and path.startswith("/v2/") and not is_let_in:
                status, body, challenge = 401, b"{}", told.wants_token
            if told.moved_to and is_let_in:
                status = 307
            self.send_response(status)
            if status == 307:
                self.send_header("Location", told.moved_to)
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Registry(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_tag_means_a_digest_and_a_size(registry: Registry) -> None:
    expected = registry.put("1", MANIFEST)
    assert resolve(registry.name(), "linux/amd64") == Resolved(expected, 1110)


def test_the_digest_of_an_index_is_kept_and_its_platform_measured(registry: Registry) -> None:
    arm = registry.put("arm", {**MANIFEST, "layers": []})
    amd = registry.put("amd", MANIFEST)
    index = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"digest": arm, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": amd, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": amd},
        ],
    }
    expected = registry.put("1", index)
    assert resolve(registry.name(), "linux/amd64") == Resolved(expected, 1110)
    assert resolve(registry.name(), "linux/arm64") == Resolved(expected, 10)


def test_an_index_without_the_platform_says_what_it_has(registry: Registry) -> None:
    index = {"manifests": [{"digest": "x", "platform": {"os": "linux", "architecture": "s390x"}}]}
    registry.put("1", index)
    with pytest.raises(InvalidInputError, match="not there for linux/amd64, but for linux/s390x"):
        resolve(registry.name(), "linux/amd64")


def test_a_reference_by_digest_is_checked_against_the_content(registry: Registry) -> None:
    asked = "sha256:" + "0" * 64
    registry.put(asked, MANIFEST)
    with pytest.raises(InvalidInputError, match="other content"):
        resolve(registry.name(f"@{asked}"), "linux/amd64")


def test_a_public_repository_behind_a_token_server_is_read(registry: Registry) -> None:
    expected = registry.put("1", MANIFEST)
    registry.answers["/token"] = (200, b'{"token": "let-me-in"}')
    registry.wants_token = f'Bearer realm="http://{registry.host}/token",service="s",scope="pull"'
    assert resolve(registry.name(), "linux/amd64").digest == expected
    assert "/token?service=s&scope=pull" in [path for path, _ in registry.seen]


def test_a_token_server_that_fails_may_be_asked_again(registry: Registry) -> None:
    registry.wants_token = f'Bearer realm="http://{registry.host}/token"'
    with pytest.raises(UnclearReplyError, match="gives no token"):
        resolve(registry.name(), "linux/amd64")


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"null", b"{}", b'{"token": ["a"]}', b'{"token": "a\\r\\nX-Other: b"}', b"\xff"],
)
def test_what_is_no_token_is_sent_nowhere(registry: Registry, answer: bytes) -> None:
    registry.answers["/token"] = (200, answer)
    registry.wants_token = f'Bearer realm="http://{registry.host}/token"'
    with pytest.raises(UnclearReplyError, match="gives no token"):
        resolve(registry.name(), "linux/amd64")
    assert registry.sent() == [None]


@pytest.mark.parametrize(
    ("realm", "host", "is_asked"),
    [
        ("https://auth.example.com/token", "registry.example.com", True),
        ("http://auth.example.com/token", "registry.example.com", False),
        ("http://10.0.0.9/token", "registry.example.com", False),
        ("https://10.0.0.9:8443/token", "registry.example.com", False),
        ("https://user@[::1]:8443/token", "registry.example.com", False),
        ("http://localhost:1/token", "registry.example.com", False),
        ("http://10.0.0.9/token", "10.0.0.8:5000", True),
        ("http://[::1]:8443/token", "localhost:5000", True),
        ("ftp://10.0.0.9/token", "10.0.0.8:5000", False),
        ("http://[10.0.0.9/token", "10.0.0.8:5000", False),
    ],
)
def test_a_public_registry_leads_to_no_private_address(
    realm: str, host: str, is_asked: bool
) -> None:
    assert _may_be_asked(realm, host) is is_asked


@pytest.mark.parametrize(
    "challenge",
    [
        pytest.param('Basic realm="x"', id="basic"),
        pytest.param('Bearer realm="http://token.example.com/t"', id="token server in the clear"),
        pytest.param('Bearer realm="file:///etc/passwd"', id="file"),
        pytest.param("Bearer", id="nothing"),
    ],
)
def test_a_login_that_is_not_ours_to_give_is_refused(registry: Registry, challenge: str) -> None:
    registry.wants_token = challenge
    with pytest.raises(InvalidInputError, match=r"wants a login .* in registry_conn_ids"):
        resolve(registry.name(), "linux/amd64")


def test_a_login_opens_a_private_repository_and_is_sent_when_asked_for(registry: Registry) -> None:
    expected = registry.put("1", MANIFEST)
    registry.wants_token, registry.lets_in = 'Basic realm="r"', (BASIC,)
    assert resolve(registry.name(), "linux/amd64", registry.login()).digest == expected
    assert registry.sent() == [None, BASIC]


def test_a_token_server_is_shown_the_login_and_the_registry_the_token(registry: Registry) -> None:
    expected = registry.put("1", MANIFEST)
    registry.answers["/token"] = (200, b'{"token": "let-me-in"}')
    registry.wants_token = f'Bearer realm="http://{registry.host}/token",scope="pull"'
    assert resolve(registry.name(), "linux/amd64", registry.login()).digest == expected
    assert registry.sent("/token") == [BASIC]
    assert registry.sent() == [None, "Bearer let-me-in"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", ["registry", "token server"])
def test_a_wrong_password_is_tried_once_and_named_by_its_connection(
    registry: Registry, kind: str, status: int
) -> None:
    registry.wants_token = 'Basic realm="r"'
    if kind == "token server":
        registry.answers["/token"] = (status, b"{}")
        registry.wants_token = f'Bearer realm="http://{registry.host}/token"'
    with pytest.raises(InvalidInputError) as caught:
        resolve(registry.name(), "linux/amd64", registry.login("wr0ng-one"))
    said = str(caught.value)
    assert f"registry {registry.host} answers " in said
    assert "connection team_registry" in said
    assert "wr0ng-one" not in said
    assert len([sent for sent in registry.sent("/") if sent]) == 1


def test_a_login_is_not_sent_along_a_redirect(registry: Registry) -> None:
    registry.put("1", MANIFEST)
    registry.answers["/elsewhere"] = (200, json.dumps(MANIFEST).encode())
    registry.wants_token, registry.lets_in = 'Basic realm="r"', (BASIC,)
    registry.moved_to = f"http://{registry.host}/elsewhere"
    resolve(registry.name(), "linux/amd64", registry.login())
    assert registry.sent("/elsewhere") == [None]


def test_a_login_of_another_registry_is_not_sent(registry: Registry) -> None:
    registry.wants_token = 'Basic realm="r"'
    others = {"registry.example.com": registry.login()[registry.host]}
    with pytest.raises(InvalidInputError, match="wants a login"):
        resolve(registry.name(), "linux/amd64", others)
    assert registry.sent() == [None]


def test_a_token_that_is_not_enough_is_no_endless_loop(registry: Registry) -> None:
    registry.answers["/token"] = (200, b'{"access_token": "wrong"}')
    registry.wants_token = f'Bearer realm="http://{registry.host}/token"'
    with pytest.raises(InvalidInputError, match="answers 401"):
        resolve(registry.name(), "linux/amd64")


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, InvalidInputError), (403, InvalidInputError), (503, CloudUnavailableError)],
)
def test_a_refusal_is_told_from_a_failure(
    registry: Registry, status: int, error: type[Exception]
) -> None:
    registry.answers["/v2/acs/app/manifests/1"] = (status, b"{}")
    with pytest.raises(error, match=f"answers {status} for {registry.host}/acs/app:1"):
        resolve(registry.name(), "linux/amd64")


def test_a_manifest_that_never_ends_is_not_read(registry: Registry) -> None:
    registry.answers["/v2/acs/app/manifests/1"] = (200, b" " * (4 * 2**20 + 1))
    with pytest.raises(InvalidInputError, match="is over"):
        resolve(registry.name(), "linux/amd64")


def test_an_answer_that_is_no_manifest_is_refused(registry: Registry) -> None:
    registry.answers["/v2/acs/app/manifests/1"] = (200, b"<html>")
    with pytest.raises(InvalidInputError, match="no manifest"):
        resolve(registry.name(), "linux/amd64")


def test_a_registry_that_is_down_may_be_asked_again(registry: Registry) -> None:
    name = ImageReference.parse("127.0.0.1:1/acs/app:1")
    with pytest.raises(UnclearReplyError, match=r"registry 127\.0\.0\.1:1 cannot be reached"):
        resolve(name, "linux/amd64")


def test_a_proxy_is_not_asked_for_a_private_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    registry.put("1", MANIFEST)
    assert resolve(registry.name(), "linux/amd64").size_bytes == 1110
