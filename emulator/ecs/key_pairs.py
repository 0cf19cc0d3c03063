"""ImportKeyPair, DescribeKeyPairs, DeleteKeyPairs.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-importkeypair
Not emulated: CreateKeyPair, which would hand out a private key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from emulator.ecs.actions import NUMBERED_PAGES, TAGS, action, tags_body, tags_of
from emulator.ecs.reading import has_tags, id_list, page, to_second
from emulator.ecs.resources import KeyPair
from emulator.errors import BAD_REQUEST, ApiError, invalid
from emulator.params import ANY, REQUIRED, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

KEY_PAIR_NAME = r"(?!https?://)[A-Za-z\u4e00-\u9fff][\w\-.:\u4e00-\u9fff]{1,127}"


def public_key(text: str) -> str | None:
    if len(text.strip().splitlines()) > 1:  # would be several lines of authorized_keys
        return "it has more than one line"
    try:
        load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "it is no OpenSSH public key"
    return None


def fingerprint(text: str) -> str:
    """Return the MD5 fingerprint that ECS shows; it identifies and protects nothing."""
    raw = base64.b64decode(text.split()[1])
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


@action(
    "ImportKeyPair",
    {
        **TAGS,
        "RegionId": REQUIRED,
        "KeyPairName": Rule(
            required=True, pattern=KEY_PAIR_NAME, code="InvalidKeyPairName.Malformed"
        ),
        "PublicKeyBody": Rule(
            required=True, check=public_key, code="InvalidPublicKeyBody.Malformed"
        ),
    },
)
def import_key_pair(cloud: Cloud, params: Params) -> dict[str, Any]:
    name = params["KeyPairName"]
    if name in cloud.key_pairs:
        raise ApiError(BAD_REQUEST, "KeyPair.AlreadyExist", f"The key pair {name} already exist.")
    key_pair = KeyPair(
        name=name,
        key_pair_id=cloud.ids.ecs("ssh"),
        public_key=params["PublicKeyBody"].strip(),
        fingerprint=fingerprint(params["PublicKeyBody"]),
        created=cloud.now(),
        tags=tags_of(params),
    )
    cloud.key_pairs[name] = key_pair
    return {
        "KeyPairName": name,
        "KeyPairFingerPrint": key_pair.fingerprint,
    }


@action(
    "DescribeKeyPairs",
    {
        **TAGS,
        **NUMBERED_PAGES,
        "RegionId": REQUIRED,
        "KeyPairName": ANY,  # may have * for any text
        "KeyPairFingerPrint": ANY,
        "IncludePublicKey": ANY,
        "PageSize": Rule(low=1, high=50),
    },
)
def describe_key_pairs(cloud: Cloud, params: Params) -> dict[str, Any]:
    pattern = re.escape(params.get("KeyPairName", "*")).replace(r"\*", ".*")
    shown = [
        pair
        for pair in cloud.key_pairs.shown().values()
        if re.fullmatch(pattern, pair.name)
        and params.get("KeyPairFingerPrint", pair.fingerprint) == pair.fingerprint
        and has_tags(pair.tags, params)
    ]
    with_key = params.get("IncludePublicKey", False)
    return page(
        params,
        shown,
        lambda pair: pair.name,
        by_token=False,
        body=lambda page: {
            "KeyPairs": {"KeyPair": [body(each, with_key=with_key) for each in page]}
        },
    )


def body(pair: KeyPair, *, with_key: bool) -> dict[str, Any]:
    shown = {
        "KeyPairName": pair.name,
        "KeyPairFingerPrint": pair.fingerprint,
        "CreationTime": to_second(pair.created),
        "Tags": tags_body(pair.tags),
    }
    return shown | ({"PublicKey": pair.public_key} if with_key else {})


@action(
    "DeleteKeyPairs", {"RegionId": REQUIRED, "KeyPairNames": Rule(required=True, check=id_list)}
)
def delete_key_pairs(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Delete key pairs; an unknown name, or one not shown yet, is no error; a bound one is."""
    names = json.loads(params["KeyPairNames"])
    bound = {instance.key_pair_name for instance in cloud.instances.values()}
    if in_use := sorted(bound & set(names)):
        raise invalid(
            "KeyPairNames",
            f"{', '.join(in_use)} attached to instances can not be deleted",
            code="InvalidParameter.KeypairAlreadyAttachedInstance",
        )
    for name in names:
        if cloud.key_pairs.find(name) is not None:
            del cloud.key_pairs[name]
    return {}
