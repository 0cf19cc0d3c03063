"""The table of ECS actions. A handler takes the cloud and the parameters and returns the body.

https://api.alibabacloud.com/document/Ecs/2014-05-26
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import parity
from emulator.api_model import ApiModel
from emulator.ecs.truths import TRUTHS
from emulator.errors import NOT_FOUND, ApiError, invalid, unsupported
from emulator.params import Call, Params, Rule, Rules, nested
from emulator.truth import Truth

if TYPE_CHECKING:
    from emulator.cloud import Cloud

VERSION = "2014-05-26"
Handler = Callable[["Cloud", Params], dict[str, Any]]
MODEL = ApiModel(Path(__file__).parent / "api.json")
MAX_TAGS = 20


TAGS: Rules = {
    "Tag": Rule(high=MAX_TAGS, code="InvalidTagCount"),
    "Tag.Key": Rule(
        required=True,
        high=128,
        pattern=r"(?!aliyun|acs:)((?!https?://).)*",
        code="InvalidTagKey.Malformed",
    ),
    "Tag.Value": Rule(
        may_be_empty=True,
        high=128,
        pattern=r"(?!acs:)((?!https?://).)*",
        code="InvalidTagValue.Malformed",
    ),
}
NUMBERED_PAGES: Rules = {"PageNumber": Rule(low=1), "PageSize": Rule(low=1, high=100)}
CLIENT_TOKEN = Rule(
    pattern=r"[\x21-\x7e]{1,64}", code="InvalidClientToken.ValueNotSupported"
)  # the API: ASCII; a space or a control character is refused here
DESCRIPTION = Rule(pattern=r"(?!https?://).{2,256}", code="InvalidDescription.Malformed")
PAGES: Rules = {**NUMBERED_PAGES, "MaxResults": Rule(low=1, high=100), "NextToken": Rule()}


@dataclass(frozen=True, slots=True)
class Action:
    truth: Truth
    call: Call
    handler: Handler


ACTIONS: dict[str, Action] = {}


def action(name: str, rules: Rules) -> Callable[[Handler], Handler]:
    """Register a handler under the API's own name, with a rule for each parameter it obeys.

    :raises ValueError: when ``truths.py`` does not say what is known of it.
    """
    if name not in TRUTHS:
        raise ValueError(f"{name} has no entry in emulator/ecs/truths.py")

    def register(handler: Handler) -> Handler:
        if name in ACTIONS:
            raise ValueError(f"two handlers for {name}")
        ACTIONS[name] = Action(TRUTHS[name], Call(MODEL.fields(name), rules), handler)
        return handler

    return register


def perform(cloud: Cloud, name: str, flat: dict[str, str]) -> dict[str, Any]:
    """Check and make one call.

    :raises ApiError: as ECS would refuse it.
    """
    found = ACTIONS.get(name)
    if found is None:
        if name in MODEL.names:
            raise unsupported(f"the ECS action {name}")
        raise ApiError(
            NOT_FOUND, "InvalidAction.NotFound", f"Specified api {name} is not found in ECS."
        )
    return parity.checked(
        name, found.truth, MODEL.answer(name), lambda: answer(cloud, name, found, flat)
    )


def answer(cloud: Cloud, name: str, found: Action, flat: dict[str, str]) -> dict[str, Any]:
    """Check the parameters of a call and answer it, from memory when its token was used."""
    params = found.call.read(nested(flat), text=True)
    check_region(cloud, params)
    if (known := cloud.tokens.answer(name, params)) is not None:
        return known
    body = found.handler(cloud, params)
    cloud.tokens.keep(name, params, body)
    return body


def check_region(cloud: Cloud, params: Params) -> None:
    region = params.get("RegionId", cloud.account.region_id)
    if region != cloud.account.region_id:
        raise ApiError(
            NOT_FOUND,
            "InvalidRegionId.NotFound",
            f"The specified RegionId {region} does not exist.",
        )


def tags_of(params: Params) -> dict[str, str]:
    """Return the tags to give.

    :raises ApiError: for a key that is given twice.
    """
    given = params.get("Tag", [])
    tags = {tag["Key"]: tag.get("Value", "") for tag in given}
    if len(tags) < len(given):
        raise invalid("Tag", "it contains a duplicate key", code="Duplicate.TagKey")
    return tags


def tags_body(tags: dict[str, str]) -> dict[str, Any]:
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]}
