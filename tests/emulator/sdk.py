"""The official SDKs, unchanged, pointed at a local cloud."""

from __future__ import annotations

from typing import Any

from alibabacloud_cs20151215.client import Client as CsClient
from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_tea_openapi.utils_models import Config


def config(facts: dict[str, Any], endpoint: str) -> Config:
    return Config(
        access_key_id=facts["access_key_id"],
        access_key_secret=facts["access_key_secret"],
        region_id=facts["region_id"],
        endpoint=facts[endpoint],
        protocol="http",
    )


def ecs_client(facts: dict[str, Any]) -> EcsClient:
    return EcsClient(config(facts, "ecs_endpoint"))


def cs_client(facts: dict[str, Any]) -> CsClient:
    return CsClient(config(facts, "cs_endpoint"))
