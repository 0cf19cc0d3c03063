from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.account import Account


def account(login: str | None = None, password: str | None = None, **extra: Any) -> Account:
    return Account.from_connection(
        Connection(
            conn_id="alibabacloud_default",
            conn_type="alibaba_cloud",
            login=login,
            password=password,
            extra=json.dumps({"region": "cn-hangzhou"} | extra),
        )
    )


def test_login_and_password_are_the_key_pair() -> None:
    config = account("ak", "secret").config(None)
    assert (config.access_key_id, config.access_key_secret) == ("ak", "secret")
    assert config.region_id == "cn-hangzhou"


def test_the_extras_of_the_alibaba_provider_are_the_key_pair_too() -> None:
    config = account(access_key_id="ak", access_key_secret="secret", security_token="sts").config(
        None
    )
    assert (config.access_key_id, config.security_token) == ("ak", "sts")


def test_without_keys_the_sdks_own_chain_decides() -> None:
    config = account().config(None)
    assert config.access_key_id is None
    assert config.credential is not None


def test_the_region_may_have_the_sdks_name() -> None:
    assert account(region=None, region_id="cn-beijing").region == "cn-beijing"


def test_a_missing_region_is_named() -> None:
    with pytest.raises(InvalidInputError, match="alibabacloud_default has no region; add"):
        account(region="")


def test_what_is_empty_in_the_form_is_the_default() -> None:
    found = account(ecs_endpoint="", protocol="", ssh_conn_id="", poll_every_s="", packages_url="")
    assert (found.ecs_endpoint, found.protocol, found.poll_every_s) == (None, "https", None)
    assert found.ssh_conn_id == "ack_preload_ssh"
    assert found.packages_url == (
        "http://aliacs-k8s-cn-hangzhou.oss-cn-hangzhou-internal.aliyuncs.com"
    )


def test_a_local_cloud_differs_by_the_connection_alone() -> None:
    found = account("ak", "secret", ecs_endpoint="127.0.0.1:1", protocol="http", poll_every_s=0.1)
    config = found.config(found.ecs_endpoint)
    assert (config.endpoint, config.protocol) == ("127.0.0.1:1", "http")
    assert found.poll_every_s == 0.1


@pytest.mark.parametrize("value", ["fast", 0, -1, []])
def test_a_pace_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"poll_every_s is .*; use a number"):
        account(poll_every_s=value)


def test_the_account_is_called_ten_times_a_second_unless_it_is_said() -> None:
    assert account().calls_per_s == account(calls_per_s="").calls_per_s == 10
    assert account(calls_per_s="2.5").calls_per_s == 2.5


@pytest.mark.parametrize("value", ["fast", 0, -1, [], "inf", "nan"])
def test_a_rate_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"calls_per_s is .*; use a number of calls"):
        account(calls_per_s=value)


def test_another_protocol_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="protocol is 'ftp'; use http or https"):
        account(protocol="ftp")


def test_machines_are_reached_over_ssh_unless_the_connection_says_otherwise() -> None:
    assert account().transport == account(transport="").transport == "ssh"
    assert account(transport="assistant").transport == "assistant"
    with pytest.raises(InvalidInputError, match="transport is 'telnet'; use ssh or assistant"):
        account(transport="telnet")


def test_secrets_are_not_in_the_text_of_an_account() -> None:
    text = repr(account("ak", "s3cret", ssh_secret="s3cret", security_token="s3cret"))
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("endpoint", "proxy"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("ecs.cn-hangzhou.aliyuncs.com", None),
        ("10.0.0.7:8080", None),
        (None, None),
    ],
)
def test_only_loopback_is_kept_off_the_environments_proxy(
    endpoint: str | None, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    assert account("ak", "secret").config(endpoint).http_proxy == proxy


def test_without_a_proxy_in_the_environment_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    assert account("ak", "secret").config("127.0.0.1:8080").http_proxy is None


@pytest.mark.parametrize("value", ["Upper", "-a", "a_b", "a" * 32, "a b", "a\n", "ä", 3.5])
def test_an_installation_that_no_tag_or_name_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"installation is .*; use 1 to 31 small letters"):
        account(installation=value)


def test_an_installation_may_be_named() -> None:
    assert account(installation="night-shift-2").installation == "night-shift-2"
    assert account(installation="").installation is None


def test_what_was_made_is_listed_within_a_minute_unless_the_connection_says_otherwise() -> None:
    assert account().visible_within_s == 60
    assert account(visible_within_s="1.5").visible_within_s == 1.5
    with pytest.raises(InvalidInputError, match=r"visible_within_s is 0; use a number"):
        account(visible_within_s=0)


def test_a_seed_under_the_name_that_airflow_would_show_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"connection .* ssh_seed is now ssh_secret"):
        account("ak", "s3cret", ssh_seed="seed")
    assert account("ak", "s3cret", ssh_secret="seed").ssh_seed == "seed"
