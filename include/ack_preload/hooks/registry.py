"""Ask a container registry which content a tag means, with a login where there is one.

OCI distribution specification, "Pulling manifests":
https://github.com/opencontainers/distribution-spec/blob/main/spec.md
Logins as registries ask for them in a 401, by Basic or through a token server:
https://distribution.github.io/distribution/spec/auth/token/

A registry is asked over HTTPS. One that is named by a private or loopback address may be asked over
plain HTTP when it speaks no TLS, as container runtimes do; the content itself is checked by digest
when it is pulled. A login is sent once, to that host or the token server that it names, and never
along a redirect.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow.sdk.log import mask_secret

from ack_preload.domain.errors import CloudUnavailableError, InvalidInputError, UnclearReplyError
from ack_preload.domain.images import DIGEST, ImageReference
from ack_preload.hooks.registry_login import RegistryLogin, server_of

TIMEOUT_S = 20
MAX_MANIFEST = 4 * 2**20  # what registries accept at most
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, SERVER_ERROR = 401, 403, 404, 500
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, and what registries make of it
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a tag means now: the digest of its index or manifest, and the bytes to fetch."""

    digest: str
    size_bytes: int


def resolve(
    name: ImageReference, platform: str, logins: Mapping[str, RegistryLogin] | None = None
) -> Resolved:
    """Return the content behind a reference, for a platform such as ``linux/amd64``.

    :param logins: by registry host; used where a registry wants one.
    :raises InvalidInputError: when the registry does not have it, or not for the platform, or
        refuses the login or wants one.
    :raises UnclearReplyError: when the registry cannot be reached.
    """
    registry = _Registry(name, (logins or {}).get(name.host))
    body, digest = registry.manifest(name.digest or name.tag or "latest")
    found = _read(name, body)
    if found.get("mediaType") in INDEXES or "manifests" in found:
        chosen = _for_platform(name, found, platform)
        found = _read(name, registry.manifest(chosen)[0])
    parts = [found.get("config") or {}, *(found.get("layers") or [])]
    return Resolved(digest, sum(int(part.get("size") or 0) for part in parts))


def _read(name: ImageReference, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInputError(
            f"registry {name.host} answers {name.tagged} with no manifest; is it a registry?"
        )
    return found


def _for_platform(name: ImageReference, index: dict[str, Any], platform: str) -> str:
    offered = {
        f"{entry['platform'].get('os')}/{entry['platform'].get('architecture')}": entry["digest"]
        for entry in index["manifests"]
        if entry.get("platform")
    }
    if platform not in offered:
        known = ", ".join(sorted(offered)) or "no platform"
        raise InvalidInputError(f"image {name.tagged} is not there for {platform}, but for {known}")
    return str(offered[platform])


class _Registry:
    """One repository of one registry, with what it wants to see from those who ask."""

    def __init__(self, name: ImageReference, login: RegistryLogin | None) -> None:
        self._name = name
        self._login = login
        self._authorization = ""
        # Proxies are for the way out; a private address is on this side of them.
        proxies = [urllib.request.ProxyHandler({})] if _is_private(name.host) else []
        self._opener = urllib.request.build_opener(*proxies)
        self._scheme = "https"

    def manifest(self, reference: str) -> tuple[bytes, str]:
        """Return a manifest and its digest, computed and compared with what was asked for."""
        body = self._get(f"/v2/{self._name.path}/manifests/{reference}")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if DIGEST.fullmatch(reference) and digest != reference:
            raise InvalidInputError(
                f"registry {self._name.host} answers {self._name.repository}@{reference} with "
                f"other content ({digest}); it must not be trusted"
            )
        return body, digest

    def _get(self, path: str) -> bytes:
        try:
            return self._fetch(f"{self._scheme}://{server_of(self._name.host)}{path}")
        except urllib.error.HTTPError as exc:
            if exc.code == UNAUTHORIZED and not self._authorization:
                self._authorization = self._answer(exc.headers.get("WWW-Authenticate") or "")
                return self._get(path)
            raise self._refusal(exc) from exc
        except (urllib.error.URLError, OSError) as exc:
            if self._scheme == "https" and _is_private(self._name.host) and _speaks_no_tls(exc):
                self._scheme = "http"
                return self._get(path)
            raise UnclearReplyError(
                f"registry {self._name.host} cannot be reached: {exc}; check the host of "
                f"{self._name.tagged} and the route from the workers"
            ) from exc

    def _fetch(self, url: str) -> bytes:
        accepted = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
        request = urllib.request.Request(url, headers=accepted)  # noqa: S310  # scheme is ours
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        with self._opener.open(request, timeout=TIMEOUT_S) as answer:
            body: bytes = answer.read(MAX_MANIFEST + 1)
        if len(body) > MAX_MANIFEST:
            raise InvalidInputError(f"manifest of {self._name.tagged} is over {MAX_MANIFEST} bytes")
        return body

    def _answer(self, challenge: str) -> str:
        """Return the ``Authorization`` that a registry's challenge asks for."""
        if challenge.startswith("Basic ") and self._login:
            return self._login.basic
        asked = dict(CHALLENGE.findall(challenge))
        realm = asked.pop("realm", "")
        if not challenge.startswith("Bearer ") or not _may_be_asked(realm, self._name.host):
            raise InvalidInputError(f"{self._wants_login()}, and says so by {challenge[:100]!r}")
        return f"Bearer {self._token(realm, asked)}"

    def _token(self, realm: str, asked: dict[str, str]) -> str:
        """Ask a token server; with the login when there is one, and as anybody else."""
        request = urllib.request.Request(f"{realm}?{urlencode(asked)}")  # noqa: S310  # checked
        if self._login:
            request.add_unredirected_header("Authorization", self._login.basic)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                token = _token_of(json.loads(answer.read(MAX_MANIFEST)))
        except urllib.error.HTTPError as exc:
            if self._login and exc.code in (UNAUTHORIZED, FORBIDDEN):
                raise InvalidInputError(self._login_refused(exc.code)) from exc
            raise self._no_token(realm, exc) from exc
        except (OSError, ValueError) as exc:
            raise self._no_token(realm, exc) from exc
        mask_secret(token)
        return token

    def _no_token(self, realm: str, exc: Exception) -> UnclearReplyError:
        return UnclearReplyError(
            f"token server {realm} of registry {self._name.host} gives no token: {exc}"
        )

    def _refusal(self, exc: urllib.error.HTTPError) -> Exception:
        what = f"registry {self._name.host} answers {exc.code} for {self._name.tagged}"
        if exc.code == NOT_FOUND:
            return InvalidInputError(f"{what}: there is no such image; correct it in the target")
        if exc.code >= SERVER_ERROR:
            return CloudUnavailableError(str(exc.code), what, request_id="none")
        if self._login and exc.code in (UNAUTHORIZED, FORBIDDEN):
            return InvalidInputError(self._login_refused(exc.code))
        return InvalidInputError(f"{what}: {self._wants_login()}")

    def _login_refused(self, code: int) -> str:
        conn_id = self._login.conn_id if self._login else ""
        return (
            f"registry {self._name.host} answers {code} for {self._name.tagged} to the login of "
            f"connection {conn_id}; correct its login and password, or the rights of that user"
        )

    def _wants_login(self) -> str:
        return (
            f"registry {self._name.host} wants a login for {self._name.tagged}; name a connection "
            f"with host {self._name.host}, login and password in registry_conn_ids of the target"
        )


def _is_private(host: str) -> bool:
    """Tell whether a registry host is a private or loopback IP address."""
    return _is_private_address(host.rpartition(":")[0] or host)


def _is_private_address(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return address == "localhost"


def _may_be_asked(realm: str, host: str) -> bool:
    """Tell whether the token server that a registry names is asked.

    Over HTTPS, or in the clear on this side only. A private address is asked for a registry on a
    private address: others have no business on this side, and would be given what it answers.
    """
    try:
        parts = urlsplit(realm)
        is_private = _is_private_address(parts.hostname or "")
    except ValueError:  # no URL
        return False
    if is_private:
        return parts.scheme in ("http", "https") and _is_private(host)
    return parts.scheme == "https"


def _token_of(answer: Any) -> str:
    """Return the token of a token server's answer, which goes into a header as it is.

    :raises ValueError: when there is none, without what it says.
    """
    found = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not TOKEN.fullmatch(found):
        raise ValueError("its answer has no bearer token")
    return found


def _speaks_no_tls(exc: BaseException) -> bool:
    reason = getattr(exc, "reason", exc)
    return isinstance(reason, ssl.SSLError | ConnectionResetError)
