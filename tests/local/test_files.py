"""Files that the local run writes: private where they must be, and what their readers expect."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow import config_templates
from cryptography.fernet import Fernet

from ack_preload.targets import load_targets
from local.airflow_home import Ports, airflow_config, environment, write_airflow_config
from local.cloud_files import connections, write_targets
from local.layout import Layout
from local.secret_files import load_secrets


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "local")
    layout.make()
    return layout


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    return {
        "ecs_endpoint": "127.0.0.1:4000",
        "cs_endpoint": "127.0.0.1:4000",
        "workload_image": "198.18.0.1:5000/ac2/qwen:7b-pytorch2.2.0.1-alinux3.2304",
        "packages_url": "http://198.18.0.1:8080",
        "region_id": "cn-hangzhou",
        "access_key_id": "LTAI-id",
        "access_key_secret": "the-secret",
        "cluster_id": "c0123456789",
        "node_pool_id": "np0123456789",
        "ssh_user": "root",
        "ssh_port": 22,
        "ssh_private_key_file": str(key),
        "zone_id": "cn-hangzhou-i",
        "vswitch_id": "vsw-0123456789",
        "security_group_id": "sg-0123456789",
        "instance_type": "ecs.c7.xlarge",
        "image_id": "aliyun_3_x64_20G_alibase_20240819.vhd",
    }


def test_secrets_are_made_once_and_can_only_be_read_by_their_owner(layout: Layout) -> None:
    first = load_secrets(layout)
    assert load_secrets(layout) == first
    files = list(layout.secrets.iterdir())
    assert len(files) == 4
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    Fernet(first.fernet_key)


def test_secrets_differ_between_two_folders(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.make()
    assert load_secrets(other).password != load_secrets(layout).password


def test_the_configuration_is_private_and_read_back_as_written(layout: Layout) -> None:
    secrets = load_secrets(layout)
    path = write_airflow_config(layout, secrets, Ports(4001, 4002))
    assert path.stat().st_mode & 0o777 == 0o600
    parser = configparser.ConfigParser()
    parser.read(path)
    assert parser["core"]["fernet_key"] == secrets.fernet_key
    assert parser["core"]["execution_api_server_url"] == "http://127.0.0.1:4001/execution/"


def test_every_option_exists_in_this_airflow(layout: Layout) -> None:
    template = Path(config_templates.__path__[0]) / "config.yml"
    known = yaml.safe_load(template.read_text())
    for section, options in airflow_config(layout, load_secrets(layout), Ports(1, 2)).items():
        assert set(options) <= set(known[section]["options"]), section


def test_processes_get_no_secret_and_no_foreign_setting(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "somebody's")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    variables = environment(layout, "token")
    secrets = load_secrets(layout)
    text = json.dumps(variables)
    for hidden in ("somebody's", "CeleryExecutor", secrets.password, secrets.fernet_key):
        assert hidden not in text


def test_the_targets_pass_the_products_own_validation(
    layout: Layout, facts: dict[str, Any]
) -> None:
    write_targets(layout.targets, facts, samples=2)
    (target,) = load_targets(layout.targets).targets
    assert target.cluster_id == facts["cluster_id"]
    assert target.measure.samples == 2
    assert target.workload_images == [facts["workload_image"]]


def test_the_connections_are_those_that_the_product_asks_for(facts: dict[str, Any]) -> None:
    cloud, machines = connections(facts)
    assert cloud["connection_id"] == "alibabacloud_default"
    assert json.loads(cloud["extra"])["ecs_endpoint"] == "127.0.0.1:4000"
    assert cloud["password"] == "the-secret"
    assert machines["connection_id"] == "ack_preload_ssh"
    assert "PRIVATE KEY" in json.loads(machines["extra"])["private_key"]
