"""What the gateway refuses before it looks at the call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests

from emulator.app import Handle
from tests.emulator.signer import call, send, signed_headers

REGIONS = {"x-acs-action": "DescribeRegions", "x-acs-version": "2014-05-26"}


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["Code"]


def test_a_signed_call_is_answered(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions")
    assert answer.status_code == 200
    assert answer.headers["x-acs-request-id"] == answer.json()["RequestId"]
    assert answer.headers["content-type"] == "application/json"


def test_an_unsigned_call_is_refused(quiet_cloud: Handle) -> None:
    answer = send(quiet_cloud.facts, dict(REGIONS))
    assert code(answer) == (400, "IncompleteSignature")
    assert set(answer.json()) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


def test_an_unsigned_ack_call_is_refused_in_acks_own_form(quiet_cloud: Handle) -> None:
    answer = send(quiet_cloud.facts, {"x-acs-version": "2015-12-15"}, path="/clusters/c")
    assert answer.json()["code"] == "IncompleteSignature"
    assert set(answer.json()) == {"code", "message", "requestId", "status"}


@pytest.mark.parametrize(
    "authorization",
    ["x", "Bearer x", "ACS3-HMAC-SHA256 x", "acs a:b", "ACS3-HMAC-SHA256 Credential=,Signature="],
)
def test_another_kind_of_authorization_is_refused(quiet_cloud: Handle, authorization: str) -> None:
    answer = send(quiet_cloud.facts, REGIONS | {"Authorization": authorization})
    assert code(answer) == (400, "IncompleteSignature")


def test_an_unknown_key_is_not_found(quiet_cloud: Handle) -> None:
    facts = quiet_cloud.facts | {"access_key_id": "LTAI5unknown"}
    assert code(call(facts, "DescribeRegions")) == (404, "InvalidAccessKeyId.NotFound")


def test_a_wrong_secret_does_not_match(quiet_cloud: Handle) -> None:
    facts = quiet_cloud.facts | {"access_key_secret": "wrong"}
    answer = call(facts, "DescribeRegions")
    assert code(answer) == (400, "SignatureDoesNotMatch")
    assert quiet_cloud.facts["access_key_secret"] not in answer.text


def test_a_changed_query_does_not_match(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    answer = send(quiet_cloud.facts, headers, query={"RegionId": "cn-hangzhou"})
    assert code(answer) == (400, "SignatureDoesNotMatch")


def test_a_changed_body_does_not_match(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS, body=b"a=1")
    answer = send(quiet_cloud.facts, headers, body=b"a=2")
    assert code(answer) == (400, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", ["x-acs-action", "x-acs-date"])
def test_what_matters_must_be_signed(quiet_cloud: Handle, name: str) -> None:
    fields = {key: value for key, value in REGIONS.items() if key != name}
    headers = signed_headers(quiet_cloud.facts, fields)
    headers["Authorization"] = headers["Authorization"].replace(f"{name};", "")
    answer = send(quiet_cloud.facts, headers | REGIONS)
    assert code(answer) == (400, "IncompleteSignature")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_16_minutes_off_has_expired(quiet_cloud: Handle, minutes: int) -> None:
    date = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-date": f"{date:%FT%TZ}"})
    assert code(answer) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("date", ["", "now", "2026-13-45T99:99:99Z", "2026-11-25 02:00:00"])
def test_a_date_that_is_none_has_expired(quiet_cloud: Handle, date: str) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-date": date})
    assert code(answer) == (400, "InvalidTimeStamp.Expired")


def test_a_moved_clock_of_the_cloud_does_not_refuse_its_clients(cloud_handle: Handle) -> None:
    cloud_handle.advance(86_400)
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


def test_a_nonce_is_used_once(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    assert send(quiet_cloud.facts, headers).status_code == 200
    assert code(send(quiet_cloud.facts, headers)) == (400, "SignatureNonceUsed")


def test_a_call_without_nonce_is_refused(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-signature-nonce": ""})
    assert code(answer) == (400, "IncompleteSignature")


def test_temporary_credentials_are_not_emulated(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-security-token": "t"})
    assert code(answer) == (400, "EmulatorUnsupported")
