"""The HTTP front: one port for ECS and ACK, told apart by the version that a call names.

Order of the checks, as at the gateway: signature, action, parameters, state.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from emulator import ack, control, ecs
from emulator.bodies import query_params, rpc_params, too_deep
from emulator.cloud import Cloud
from emulator.connections import Connections
from emulator.errors import BAD_REQUEST, NOT_FOUND, ApiError
from emulator.faults.answers import Trouble
from emulator.ids import request_id
from emulator.request_log import RequestLog
from emulator.signing import SignedRequest, Verifier

log = logging.getLogger(__name__)
MAX_BODY = 4 * 2**20  # far above a node pool's description, the largest there is
ACTIONS: dict[str, Collection[str]] = {ecs.VERSION: ecs.ACTIONS, ack.VERSION: ack.ACTIONS}
INTERNAL = ApiError(
    500, "InternalError", "The request processing has failed due to some unknown error."
)


@dataclass(slots=True)
class Incoming:
    """One call on its way through the front."""

    signed: SignedRequest
    action: str
    version: str
    request_id: str = field(default_factory=request_id)

    @property
    def is_known(self) -> bool:
        """Tell whether the action is one that is emulated."""
        return self.action in ACTIONS.get(self.version, ())

    def token(self) -> str:
        """Return the ClientToken of a call that was not refused: only ECS takes one."""
        if self.version != ecs.VERSION:
            return ""
        return rpc_params(self.signed).get("ClientToken", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client is told; status 0 is nothing at all."""

    status: int
    code: str
    body: dict[str, Any]
    had_effect: bool = False


class Front:
    """Answers every call of the two APIs, and logs it."""

    def __init__(self, cloud: Cloud, requests: RequestLog, connections: Connections) -> None:
        self._cloud = cloud
        self._connections = connections
        self._requests = requests
        account = cloud.account
        self._verifier = Verifier(account.access_key_id, account.access_key_secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whatever the method: an app has no list of them, as an endpoint would."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        incoming = await self._read(request)
        trouble = Trouble()
        outcome = self._outcome(incoming, trouble)
        self._log(incoming, outcome, trouble)
        if trouble.delay_s:
            with self._in_flight(incoming, outcome):
                await self._connections.hold_back(trouble.delay_s)
        if trouble.is_cut:
            await self._connections.cut(request.scope)
            return Response(status_code=503)  # goes nowhere, but a server must be given one
        return Response(
            b"" if trouble.is_empty else json.dumps(outcome.body),
            outcome.status,
            media_type="application/json",
            headers={"x-acs-request-id": incoming.request_id, **trouble.headers},
        )

    def _in_flight(self, incoming: Incoming, outcome: Outcome) -> AbstractContextManager[None]:
        """Let the token of a call count as unanswered, if this is the call that it was used for.

        One that was refused leaves the token as it was.
        """
        if not outcome.had_effect:
            return nullcontext()
        return self._cloud.tokens.in_flight(incoming.action, incoming.token())

    def _outcome(self, incoming: Incoming, trouble: Trouble) -> Outcome:
        """Make the call, unless a fault is before it; return what its client is to be told."""
        try:
            self._verify(incoming.signed)
            if incoming.is_known:
                return self._troubled(incoming, trouble)
            return self._made(incoming)
        except ApiError as error:
            return self._refused(incoming, error)
        except Exception:
            log.exception("%s %s", incoming.action, incoming.request_id)
            return self._refused(incoming, INTERNAL)

    def _troubled(self, incoming: Incoming, trouble: Trouble) -> Outcome:
        """Make a call of a known action with what goes wrong before and after it."""
        faults, action = self._cloud.faults, incoming.action
        outcome = Outcome(0, "", {})
        trouble.late(faults, action)
        if not trouble.before(faults, action):
            try:
                outcome = self._made(incoming)
            except ApiError as error:
                outcome = self._refused(incoming, error)
            trouble.after(faults, action)
        if trouble.refusal is not None:
            refused = self._refused(incoming, trouble.refusal)
            return replace(refused, had_effect=outcome.had_effect)
        return outcome

    def _made(self, incoming: Incoming) -> Outcome:
        """Make the call.

        :raises ApiError: when it is refused.
        """
        return Outcome(200, "", self._perform(incoming), had_effect=True)

    def _refused(self, incoming: Incoming, error: ApiError) -> Outcome:
        return Outcome(error.status, error.code, self._refusal(incoming, error))

    async def _read(self, request: Request) -> Incoming:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():  # one given twice is one list, as in HTTP
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        body = bytearray()
        async for chunk in request.stream():
            body += chunk[: MAX_BODY + 1 - len(body)]
        return Incoming(
            SignedRequest(
                method=request.method,
                path=request.scope["raw_path"].decode("latin-1"),
                query=request.scope["query_string"].decode("latin-1"),
                headers=headers,
                body=bytes(body),
            ),
            action=headers.get("x-acs-action", ""),
            version=headers.get("x-acs-version", ""),
        )

    def _verify(self, signed: SignedRequest) -> None:
        if len(signed.body) > MAX_BODY:
            raise ApiError(413, "RequestBodyTooLarge", f"The body is larger than {MAX_BODY} bytes.")
        self._verifier.verify(signed)

    def _perform(self, incoming: Incoming) -> dict[str, Any]:
        signed = incoming.signed
        if incoming.version == ack.VERSION:
            body = ack.perform(self._cloud, incoming.action, signed, query_params(signed.query))
            return {"request_id": incoming.request_id, **body}
        if incoming.version != ecs.VERSION:
            raise ApiError(
                NOT_FOUND, "InvalidVersion", f"Specified version {incoming.version!r} is not valid."
            )
        if signed.path != "/" or signed.method not in ("GET", "POST"):
            raise ApiError(BAD_REQUEST, "UnsupportedHTTPMethod", "ECS takes GET or POST at /.")
        body = ecs.perform(self._cloud, incoming.action, rpc_params(signed))
        return {"RequestId": incoming.request_id, **body}

    def _refusal(self, incoming: Incoming, error: ApiError) -> dict[str, Any]:
        if incoming.version == ack.VERSION:
            return error.roa_body(incoming.request_id)
        return error.rpc_body(incoming.request_id, incoming.signed.headers.get("host", ""))

    def _log(self, incoming: Incoming, outcome: Outcome, trouble: Trouble) -> None:
        signed = incoming.signed
        struck = trouble.named()
        self._requests.write(
            {
                "time": f"{self._cloud.now():%Y-%m-%dT%H:%M:%S.%fZ}",
                "action": incoming.action,
                "version": incoming.version,
                "method": signed.method,
                "path": signed.path,
                "query": dict(parse_qsl(signed.query, keep_blank_values=True)),
                "body": readable(signed.body),
                "status": outcome.status,
                "code": outcome.code,
                "request_id": incoming.request_id,
                **({"faults": struck} if struck else {}),
            }
        )


def readable(body: bytes) -> Any:
    """Return the body as a log shows it: JSON as such, other text as its length only.

    What is not JSON cannot be searched for secrets, so it is not written.
    """
    if not body:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return f"{len(body)} bytes that are not JSON"
    return f"{len(body)} bytes of deep JSON" if too_deep(value) else value


async def nobody(_request: Request, _gone: Exception) -> Response:
    """Answer a client that left in the middle of its own body: nothing went wrong here."""
    return Response(status_code=400)


def front_app(
    cloud: Cloud, requests: RequestLog, connections: Connections | None = None
) -> Starlette:
    """Return the two APIs and the control routes as one app.

    :param connections: those of the server that the app runs in; without, no fault cuts one.
    """
    front = Front(cloud, requests, connections or Connections())
    return Starlette(
        routes=[
            Mount("/_control", routes=control.routes(cloud)),
            Route("/{path:path}", front),
        ],
        exception_handlers={ClientDisconnect: nobody},
    )
