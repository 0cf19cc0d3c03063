"""What the armed faults make of a request to the registry or the package server.

The registry's error codes: https://distribution.github.io/distribution/spec/api/#errors-2 and
``registry/api/errcode``; bodies of the package server are OSS's ``<Error>`` documents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from emulator.faults import Fault, Faults, PackageMissing, RegistryError, RegistryTruncated

REGISTRY_FAULTS: tuple[type[Fault], ...] = (RegistryError, RegistryTruncated)
PACKAGE_FAULTS: tuple[type[Fault], ...] = (PackageMissing,)

_CODES = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    429: "TOOMANYREQUESTS",
    500: "UNKNOWN",
    503: "UNAVAILABLE",
}
_OSS_CODES = {404: "NoSuchKey", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in place of the real one."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def asked_for(path: str) -> tuple[str, str] | None:
    """Return repository and part (``manifests`` or ``blobs``) that a registry path names."""
    head, _, _ = path.partition("?")[0].rpartition("/")
    repository, _, part = head.removeprefix("/v2/").rpartition("/")
    if path.startswith("/v2/") and repository and part in ("manifests", "blobs"):
        return repository, part
    return None


def refusal(faults: Faults, path: str) -> Refusal | None:
    """Count a request, and return what is answered instead if a fault strikes at it."""
    if (asked := asked_for(path)) is not None:
        return _registry_refusal(faults, *asked)
    if path.startswith("/v2"):
        return None
    missing = faults.strike(PackageMissing, path.partition("?")[0])
    if missing is None:
        return None
    code = _OSS_CODES[missing.status]
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>\n'
    return Refusal(missing.status, body.encode(), {"Content-Type": "application/xml"})


def _registry_refusal(faults: Faults, repository: str, part: str) -> Refusal | None:
    error = faults.strike(RegistryError, repository, where=lambda fault: fault.part == part)
    if error is None:
        return None
    headers = {"Content-Type": "application/json"}
    if error.status == 401:  # noqa: PLR2004  # a fault's status, by its number
        headers["WWW-Authenticate"] = 'Basic realm="an armed fault"'
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    problem = {"code": _CODES[error.status], "message": "an armed fault of the local cloud"}
    return Refusal(error.status, json.dumps({"errors": [problem]}).encode(), headers)


def end_of_blob(faults: Faults, path: str, size: int) -> int:
    """Count a request for a blob of ``size`` bytes, and return where its sending ends."""
    asked = asked_for(path)
    if asked is None or asked[1] != "blobs":
        return size
    cut = faults.strike(RegistryTruncated, asked[0])
    return size if cut is None else size * cut.percent // 100
