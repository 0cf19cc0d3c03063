"""Checking the signature of a call, ACS3-HMAC-SHA256, as the gateway does.

https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
Not emulated: temporary credentials (STS tokens), the older signatures v2 and v4.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from emulator.errors import BAD_REQUEST, NOT_FOUND, ApiError, unsupported

ALGORITHM = "ACS3-HMAC-SHA256"
AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]+)"
)
SKEW = timedelta(minutes=15)
MUST_BE_SIGNED = (
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
)
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers, as it came over the wire."""

    method: str
    path: str  # still percent-encoded
    query: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes


class Verifier:
    """Knows the account's one key, and the nonces that were used."""

    def __init__(self, access_key_id: str, access_key_secret: str) -> None:
        self.access_key_id = access_key_id
        self._secret = access_key_secret.encode()
        self._nonces: dict[str, datetime] = {}  # in order of use

    def verify(self, request: SignedRequest) -> None:
        """Return when the call is signed as it must be.

        :raises ApiError: with the gateway's own code. Dates are compared with real time, not
            with the cloud's clock: a test that moves the clock does not move its clients.
        """
        headers = request.headers
        key_id, signed, signature = authorization(headers)
        if key_id != self.access_key_id:
            raise ApiError(
                NOT_FOUND, "InvalidAccessKeyId.NotFound", "Specified access key is not found."
            )
        if "x-acs-security-token" in headers:
            raise unsupported("temporary credentials (x-acs-security-token)")
        check_signed(headers, signed)
        if hashlib.sha256(request.body).hexdigest() != headers.get("x-acs-content-sha256"):
            raise mismatch("x-acs-content-sha256 is not the hash of the body")
        text = f"{ALGORITHM}\n{hashlib.sha256(canonical(request, signed).encode()).hexdigest()}"
        expected = hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise mismatch("the signature does not match the request and the secret")
        self._use(headers.get("x-acs-date", ""), headers.get("x-acs-signature-nonce", ""))

    def _use(self, date: str, nonce: str) -> None:
        """Refuse old calls and calls that were made before."""
        now = datetime.now(UTC)
        if not DATE.fullmatch(date) or abs(now - parsed(date)) > SKEW:
            raise ApiError(
                BAD_REQUEST,
                "InvalidTimeStamp.Expired",
                f"Specified time stamp or date value is expired: {date}, server time {now:%FT%TZ}.",
            )
        if not nonce:
            raise incomplete("x-acs-signature-nonce is missing")
        while self._nonces and next(iter(self._nonces.values())) < now - 2 * SKEW:
            del self._nonces[next(iter(self._nonces))]
        if nonce in self._nonces:
            raise ApiError(
                BAD_REQUEST,
                "SignatureNonceUsed",
                "Specified signature nonce was used already.",
            )
        self._nonces[nonce] = now


def parsed(date: str) -> datetime:
    """Return the moment; the distant past for a date that no calendar has."""
    try:
        return datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def authorization(headers: Mapping[str, str]) -> tuple[str, list[str], str]:
    text = headers.get("authorization", "")
    if not text:
        raise incomplete("the header Authorization is missing")
    match = AUTHORIZATION.fullmatch(text)
    if match is None:
        raise incomplete(f"Authorization is not of the form of {ALGORITHM}")
    return match[1], match[2].split(";"), match[3]


def check_signed(headers: Mapping[str, str], signed: list[str]) -> None:
    """Refuse a signature that leaves out what it must cover, or that can be read in two ways.

    Of the headers that are sent, the API wants ``host`` and all that begin with ``x-acs-`` signed,
    under lower-case names in the order of the alphabet.
    """
    ours = {name for name in headers if name.startswith("x-acs-")}
    if absent := sorted({*MUST_BE_SIGNED, *ours}.difference(signed)):
        raise incomplete(f"{', '.join(absent)} must be among SignedHeaders")
    if signed != sorted(set(signed)):
        raise incomplete("SignedHeaders must be sorted, each once")
    if unsent := [name for name in signed if name not in headers]:
        raise incomplete(f"{', '.join(unsent)} of SignedHeaders were not sent")


def canonical(request: SignedRequest, signed: list[str]) -> str:
    """Return the text that is signed. Clients escape differently, so decode and escape again."""
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True, errors="surrogateescape"))
    query = "&".join(f"{escape(key)}={escape(value)}" for key, value in pairs)
    lines = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed)
    return "\n".join(
        [
            request.method,
            request.path,
            query,
            lines,
            ";".join(signed),
            request.headers.get("x-acs-content-sha256", ""),
        ]
    )


def escape(text: str) -> str:
    return quote(text.encode(errors="surrogateescape"), safe="~")


def incomplete(reason: str) -> ApiError:
    return ApiError(
        BAD_REQUEST,
        "IncompleteSignature",
        f"The request signature does not conform to Alibaba Cloud standards: {reason}.",
    )


def mismatch(reason: str) -> ApiError:
    return ApiError(
        BAD_REQUEST,
        "SignatureDoesNotMatch",
        f"Specified signature is not matched with our calculation: {reason}.",
    )
