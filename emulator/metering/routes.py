"""``GET /_control/meter``: the account of the meter, by the tags that the reader names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulator.metering.account import account

if TYPE_CHECKING:
    from emulator.metering.meter import Meter


def meter_route(meter: Meter) -> Route:
    async def answer(request: Request) -> JSONResponse:
        unknown = sorted(set(request.query_params) - {"by"})
        keys = request.query_params.getlist("by")
        if unknown or "" in keys:
            what = f"unknown parameter {unknown[0]}" if unknown else "by is empty"
            message = f"{what}: give the key of a tag, ?by=KEY, once or more, or nothing"
            return JSONResponse({"message": message}, status_code=400)
        return JSONResponse(account(meter.lines(), meter.now(), keys))

    return Route("/meter", answer)
