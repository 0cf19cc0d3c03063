"""The errors that the local cloud answers with, each in the wire form of its service."""

from __future__ import annotations

from typing import Any

BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404


class ApiError(Exception):
    """A refusal as the API words it: HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def rpc_body(self, request_id: str, host: str) -> dict[str, Any]:
        """Return the body that the gateway and RPC services such as ECS send."""
        return {
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
            "Recommend": f"https://api.alibabacloud.com/troubleshoot?q={self.code}",
        }

    def roa_body(self, request_id: str) -> dict[str, Any]:
        """Return the body that ACK sends; its keys are in lower case."""
        return {
            "code": self.code,
            "message": self.message,
            "requestId": request_id,
            "status": self.status,
        }


def invalid(
    name: str, reason: str, *, code: str = "InvalidParameter", status: int = BAD_REQUEST
) -> ApiError:
    return ApiError(status, code, f"The specified parameter {name} is not valid: {reason}.")


def missing(name: str) -> ApiError:
    return ApiError(
        BAD_REQUEST,
        "MissingParameter",
        f'The input parameter "{name}" that is mandatory for processing this request is not '
        "supplied.",
    )


def unsupported(what: str) -> ApiError:
    """Refuse what the API has and this emulator has not.

    A 4xx on purpose: callers retry a 5xx, and no retry makes this work.
    """
    return ApiError(BAD_REQUEST, "EmulatorUnsupported", f"not emulated: {what}")


def not_found(code: str, kind: str, resource_id: str) -> ApiError:
    return ApiError(NOT_FOUND, code, f"The specified {kind} {resource_id} does not exist.")


def conflict(code: str, message: str) -> ApiError:
    """Refuse a call that the present state of a resource does not allow."""
    return ApiError(FORBIDDEN, code, message)
