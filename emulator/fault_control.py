"""Faults from outside: described in JSON, by the control route or on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from fnmatch import filter as matching
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator import ack, ecs
from emulator.faults import Fault, FaultError, Faults
from emulator.faults.engine import FaultFailedError, parse, schema, shortened
from emulator.faults.kinds import EmptyBody, ResetAfter, ResetBefore, ServerError, Slow, Throttle

OF_ACTIONS = (Throttle, ServerError, ResetBefore, ResetAfter, Slow, EmptyBody)


def described(description: Any) -> Fault:
    """Return the fault that a JSON object describes.

    :raises FaultError: for an unknown kind or field, a value that does not fit, or an action that
        is not emulated: such a fault could never strike.
    """
    fault = parse(description)
    check_action(fault)
    return fault


def check_action(fault: Fault) -> None:
    actions = sorted({*ecs.ACTIONS, *ack.ACTIONS})
    if not isinstance(fault, OF_ACTIONS) or matching(actions, fault.target):
        return
    asked = shortened(fault.target)
    close = get_close_matches(asked, actions, n=3)
    hint = f"; close ones: {', '.join(close)}" if close else ""
    raise FaultError(f"{fault.kind}.target: no emulated action is {asked!r}{hint}")


def read(text: str) -> Fault:
    """Return the fault that JSON text describes.

    :raises FaultError: as :func:`described`, and for text that is not JSON.
    """
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise FaultError(f"a fault is a JSON object: {exc}") from None
    return described(description)


def answering(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Answer with what failed around a fault, instead of a traceback in the log."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except FaultFailedError as exc:
            return JSONResponse({"message": str(exc)}, status_code=500)

    return answer


def routes(faults: Faults) -> list[Route]:
    """Return the routes. A change runs on a thread: it may start servers and fill disks."""

    async def listed(_request: Request) -> Response:
        return JSONResponse({"faults": [armed.shown() for armed in faults.armed()]})

    async def kinds(_request: Request) -> Response:
        return JSONResponse(schema())

    async def added(request: Request) -> Response:
        try:
            fault = read((await request.body()).decode(errors="replace"))
        except FaultError as exc:
            return JSONResponse({"message": str(exc)}, status_code=400)
        fault_id = await asyncio.to_thread(faults.add, fault)
        return JSONResponse({"id": fault_id}, status_code=201)

    async def removed(request: Request) -> Response:
        fault_id = request.path_params["fault_id"]
        if await asyncio.to_thread(faults.remove, fault_id):
            return JSONResponse({"id": fault_id})
        ids = ", ".join(armed.fault_id for armed in faults.armed()) or "none"
        return JSONResponse({"message": f"no fault {fault_id!r}; armed: {ids}"}, status_code=404)

    async def cleared(_request: Request) -> Response:
        await asyncio.to_thread(faults.clear)
        return JSONResponse({"faults": []})

    return [
        Route("/faults", listed),
        Route("/faults", answering(added), methods=["POST"]),
        Route("/faults/kinds", kinds),
        Route("/faults", answering(cleared), methods=["DELETE"]),
        Route("/faults/{fault_id}", answering(removed), methods=["DELETE"]),
    ]
