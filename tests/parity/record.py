"""Make one call to the real cloud and keep its answer, for the comparison in test_recordings.py.

python -m tests.parity.record ACTION '{"RegionId": "cn-hangzhou", ...}' [--endpoint HOST]

Keys come from the SDK's own chain (ALIBABA_CLOUD_ACCESS_KEY_ID and so on). The call is made as it
is given: one that creates something creates it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from emulator import ack, ecs
from tests.parity import recordings
from tests.parity.recordings import Recording

SDKS = {"ecs": "alibabacloud-ecs20140526", "cs": "alibabacloud-cs20151215"}


def service_of(action: str) -> tuple[str, str, dict[str, Any]]:
    """Return service, version and the model of a call."""
    if action in ecs.ACTIONS:
        return "ecs", ecs.VERSION, ecs.MODEL.calls[action]
    return "cs", ack.VERSION, ack.MODEL.calls[action]


def record(action: str, given: dict[str, Any], config: Config) -> Recording:
    """Call, with what is given divided among path, query and body as the API wants it."""
    service, version, model = service_of(action)
    params = Params(
        action=action,
        version=version,
        protocol=config.protocol or "HTTPS",
        pathname=model["path"].format_map(given),
        method=model["method"],
        auth_type="AK",
        style="RPC" if service == "ecs" else "ROA",
        req_body_type="json",
        body_type="json",
    )
    query = {name: str(given[name]) for name in given if name.split(".")[0] in model["query"]}
    body = {name: given[name] for name in given if name in model["body"]}
    request = OpenApiRequest(query=query, body=body or None)
    try:
        answer = Client(config).call_api(params, request, RuntimeOptions())
        status, found = int(answer["statusCode"]), dict(answer["body"])
    except AlibabaCloudException as error:
        status, found = int(error.status_code), {"Code": error.code}
    sdk = SDKS[service]
    return Recording(
        action=action,
        recorded=f"{datetime.now(UTC):%Y-%m-%d}",
        client=f"{sdk} {importlib.metadata.version(sdk)}",
        status=status,
        body=recordings.masked(found),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=sorted({*ecs.ACTIONS, *ack.ACTIONS}))
    parser.add_argument("parameters", type=json.loads)
    parser.add_argument("--region", default="cn-hangzhou")
    parser.add_argument("--endpoint", help="default: the region's")
    parser.add_argument("--into", type=Path, default=recordings.FOLDER)
    chosen = parser.parse_args()
    service, _, _ = service_of(chosen.action)
    config = Config(
        credential=CredentialClient(),
        region_id=chosen.region,
        endpoint=chosen.endpoint or f"{service}.{chosen.region}.aliyuncs.com",
    )
    written = recordings.write(chosen.into, record(chosen.action, chosen.parameters, config))
    print(written)  # noqa: T201  # a terminal program


if __name__ == "__main__":
    main()
