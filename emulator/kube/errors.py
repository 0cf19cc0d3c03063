"""Errors as the Kubernetes API answers them: an HTTP code and a ``Status`` object.

https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong: ``field: text`` in the message, a cause in the details."""

    field: str
    text: str  # such as ``Required value`` or ``Invalid value: "x": must be …``
    reason: str = "FieldValueInvalid"


class KubeError(Exception):
    """An answer that is not a success; ``status()`` is its wire form."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata: dict[str, Any] = {}

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            body["details"] = self.details
        return body


def _details(plural: str, name: str) -> dict[str, Any]:
    return {"name": name, "kind": plural}


def not_found(plural: str, name: str) -> KubeError:
    return KubeError(404, "NotFound", f'{plural} "{name}" not found', _details(plural, name))


def no_such_path() -> KubeError:
    message = "the server could not find the requested resource"
    return KubeError(404, "NotFound", message, {})


def already_exists(plural: str, name: str) -> KubeError:
    message = f'{plural} "{name}" already exists'
    return KubeError(409, "AlreadyExists", message, _details(plural, name))


def conflict(plural: str, name: str, why: str = "") -> KubeError:
    why = why or (
        "the object has been modified; please apply your changes to the latest version"
        " and try again"
    )
    message = f'Operation cannot be fulfilled on {plural} "{name}": {why}'
    return KubeError(409, "Conflict", message, _details(plural, name))


def invalid(kind: str, name: str, causes: list[Cause]) -> KubeError:
    texts = [f"{cause.field}: {cause.text}" for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {
        "name": name,
        "kind": kind,
        "causes": [{"reason": c.reason, "message": c.text, "field": c.field} for c in causes],
    }
    return KubeError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def expired(since: int, oldest: int) -> KubeError:
    return KubeError(410, "Expired", f"too old resource version: {since} ({oldest})")


def continue_expired(token: str) -> KubeError:
    """Refuse the next page of a list whose first is no longer kept; ``token`` leads on anyway."""
    error = KubeError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can"
        " start a new list without the continue parameter, or use the continue token in this"
        " response to retrieve the remainder of the results. Continuing with the provided token"
        " results in an inconsistent list - objects that were created, modified, or deleted"
        " between the time the first chunk was returned and now may show up in the list.",
    )
    error.metadata = {"continue": token}
    return error


def too_large(asked: int, current: int) -> KubeError:
    message = f"Too large resource version: {asked}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return KubeError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def kept_version(asked: int, oldest: int, newest: int) -> int:
    """Return a version whose changes are all there still.

    :raises KubeError: 410 for one that is no longer kept, 504 for one that is yet to come.
    """
    if asked < oldest:
        raise expired(asked, oldest)
    if asked > newest:
        raise too_large(asked, newest)
    return asked


def bad_request(message: str) -> KubeError:
    return KubeError(400, "BadRequest", message)


def unauthorized() -> KubeError:
    return KubeError(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, plural: str, name: str, why: str) -> KubeError:
    message = f'{plural} "{name}" is forbidden: User "{user}" cannot {verb} resource: {why}'
    return KubeError(403, "Forbidden", message, _details(plural, name))


def method_not_allowed() -> KubeError:
    message = "the server does not allow this method on the requested resource"
    return KubeError(405, "MethodNotAllowed", message, {})


def unsupported_media_type(sent: str, known: tuple[str, ...]) -> KubeError:
    message = (
        f"the body of the request was in an unknown format - accepted media types include:"
        f" {', '.join(known)}; sent: {sent or 'none'}"
    )
    return KubeError(415, "UnsupportedMediaType", message, {})


def not_emulated(what: str) -> KubeError:
    """Refuse what a real cluster would do and this one does not, rather than answer wrongly."""
    return KubeError(501, "EmulatorUnsupported", f"not emulated: {what}", {})
