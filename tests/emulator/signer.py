"""Signs requests by the published recipe, apart from the emulator's own code, so that a test can
send what no SDK would.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

Query = Mapping[str, str] | Iterable[tuple[str, str]]  # pairs can give a name twice


def encoded(query: Query | None) -> str:
    """Return a query as its signature covers it: escaped and sorted."""
    pairs = query.items() if isinstance(query, Mapping) else query or ()
    return "&".join(
        f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(pairs)
    )


def signed_headers(
    facts: Mapping[str, Any],
    over: Mapping[str, str],
    *,
    method: str = "POST",
    path: str = "/",
    query: Query | None = None,
    body: bytes = b"",
) -> dict[str, str]:
    """Return the headers of a signed call; those in ``over`` are added before signing."""
    headers = {
        "host": facts["ecs_endpoint"],
        "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        **over,
    }
    names = sorted(headers)
    signature = signature_of(facts, headers, names, method=method, path=path, query=query)
    credential = f"Credential={facts['access_key_id']},SignedHeaders={';'.join(names)}"
    headers["Authorization"] = f"ACS3-HMAC-SHA256 {credential},Signature={signature}"
    return headers


def signature_of(
    facts: Mapping[str, Any],
    headers: Mapping[str, str],
    names: list[str],
    *,
    method: str = "POST",
    path: str = "/",
    query: Query | None = None,
) -> str:
    """Return the signature over the named headers, in the order given."""
    lines = "".join(f"{name}:{headers.get(name, '')}\n" for name in names)
    digest = headers["x-acs-content-sha256"]
    text = "\n".join([method, path, encoded(query), lines, ";".join(names), digest])
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(text.encode()).hexdigest()}"
    secret = facts["access_key_secret"].encode()
    return hmac.new(secret, to_sign.encode(), hashlib.sha256).hexdigest()


def call(
    facts: dict[str, Any],
    action: str,
    query: Query | None = None,
    *,
    version: str = "2014-05-26",
    method: str = "POST",
    path: str = "/",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> requests.Response:
    """Sign and send one call."""
    over = {"x-acs-action": action, "x-acs-version": version, **(headers or {})}
    signed = signed_headers(facts, over, method=method, path=path, query=query, body=body)
    return send(facts, signed, method=method, path=path, query=query, body=body)


def send(
    facts: dict[str, Any],
    headers: dict[str, str],
    *,
    method: str = "POST",
    path: str = "/",
    query: Query | None = None,
    body: bytes = b"",
) -> requests.Response:
    url = f"http://{facts['ecs_endpoint']}{path}"
    return requests.request(
        method,
        url,
        params=encoded(query),
        data=body,
        headers=headers,
        timeout=10,
        allow_redirects=False,
    )
