"""The node agent's client of the API server: plain HTTPS, one connection a thread.

``http.client`` instead of a Kubernetes client: the time that the agent takes to start is part of
the latency that is measured, and this starts in milliseconds.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from .objects import Obj

CALL_S = 15.0
WATCH_S = 300  # how long one watch lasts before the next begins
MERGE_PATCH = "application/merge-patch+json"
_FIRST_ERROR = 400


class ApiError(Exception):
    """The API server refused; ``code`` is HTTP's, ``reason`` the Status object's."""

    def __init__(self, what: str, code: int, reason: str, message: str) -> None:
        super().__init__(f"{what}: {code} {reason}: {message}")
        self.code = code
        self.reason = reason


class ApiUnreachableError(Exception):
    """No answer: the call may or may not have been done."""


class KubeApi:
    """Calls with the node's own token, over TLS that trusts the cluster's CA alone."""

    def __init__(self, server: str, ca_pem: str, token: str) -> None:
        address = urlsplit(server)
        self._host, self._port = address.hostname or "", address.port or 443
        self._tls = ssl.create_default_context(cadata=ca_pem)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._kept = threading.local()

    def get(self, path: str, **query: str) -> Obj:
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)

    def create(self, path: str, obj: Obj) -> Obj:
        return self._call("POST", path, obj)

    def merge(self, path: str, patch: Obj) -> Obj:
        return self._call("PATCH", path, patch, MERGE_PATCH)

    def delete(self, path: str, options: Obj) -> Obj:
        return self._call("DELETE", path, options)

    def watch(self, path: str, version: str, **query: str) -> Iterator[tuple[str, Obj]]:
        """Yield ``(type, object)`` until the server ends the watch.

        :raises ApiError: 410 when ``version`` is too old: list again.
        :raises ApiUnreachableError: when the connection breaks.
        """
        asked = {**query, "watch": "true", "resourceVersion": version, "timeoutSeconds": WATCH_S}
        connection = self._connect(WATCH_S + CALL_S)
        try:
            reply = self._send(connection, "GET", f"{path}?{urlencode(asked)}", None, "")
            self._check(reply, f"watch {path}")
            while line := reply.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(
                        f"watch {path}", status["code"], status["reason"], status["message"]
                    )
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachableError(f"watch {path}: {error!r}") from error
        finally:
            connection.close()

    def _call(
        self, method: str, path: str, body: Obj | None = None, media: str = "application/json"
    ) -> Obj:
        kept: http.client.HTTPSConnection | None = getattr(self._kept, "connection", None)
        connection = kept or self._connect(CALL_S)
        self._kept.connection = None
        try:
            reply = self._send(connection, method, path, body, media)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept is None:
                raise ApiUnreachableError(f"{method} {path}: {error!r}") from error
            # A kept connection may have been closed by the server while it lay idle.
            return self._call(method, path, body, media)
        self._kept.connection = connection
        self._check(reply, f"{method} {path}")
        return self._read(reply)

    def _connect(self, timeout_s: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_s, context=self._tls
        )

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Obj | None,
        media: str,
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        headers = dict(self._headers) | ({"Content-Type": media} if body is not None else {})
        connection.request(method, path, body=data, headers=headers)
        return connection.getresponse()

    def _check(self, reply: http.client.HTTPResponse, what: str) -> None:
        if reply.status < _FIRST_ERROR:
            return
        try:
            status = self._read(reply)
        except ValueError:
            status = {}
        raise ApiError(what, reply.status, status.get("reason", ""), status.get("message", ""))

    def _read(self, reply: http.client.HTTPResponse) -> Obj:
        parsed: Any = json.loads(reply.read())
        if not isinstance(parsed, dict):
            raise ValueError(f"the API server sent a {type(parsed).__name__}, not an object")
        return parsed
