"""Every name that a person types or reads is documented, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from ack_preload.provider_info import connection_fields
from emulator.settings import Settings
from local.layout import ROOT
from local.report import SIMULATED

DOCS = ROOT / "docs"
OPERATE = (DOCS / "operate.md").read_text()
QUICKSTART = (DOCS / "quickstart.md").read_text()
EMULATOR = (DOCS / "emulator.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CODE = [
    path
    for folder in ("include", "emulator", "local", "dags", "plugins")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sh")
]


def missing(names: set[str], text: str) -> list[str]:
    return sorted(name for name in names if f"`{name}" not in text and f" {name}" not in text)


def test_every_make_target_is_documented_and_in_the_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    targets = set(phony[1].split())
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    documented = set(re.findall(r"`make ([a-z-]+)`", OPERATE))
    assert targets - documented == set(), "add them to the table of make targets in operate.md"
    assert documented - targets == set(), "operate.md names targets that are not there"


def test_every_environment_variable_is_documented() -> None:
    used = {
        name
        for path in [*CODE, ROOT / "docker-compose.yaml"]
        for name in re.findall(r"\bACK_PRELOAD_[A-Z_]*[A-Z]\b", path.read_text())
    }
    # The history's connection in Compose is not a variable of ours.
    used -= {"ACK_PRELOAD_STORE"}
    assert missing(used, OPERATE) == []


def test_every_variable_of_the_containers_is_documented() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / "docker-compose.yaml").read_text()))
    assert missing(used, OPERATE) == []


@pytest.mark.parametrize(
    ("program", "page"),
    [
        pytest.param("local/demo.py", QUICKSTART, id="demo"),
        pytest.param("local/up.py", QUICKSTART, id="up"),
        pytest.param("emulator/__main__.py", EMULATOR, id="emulator"),
    ],
)
def test_every_command_line_option_is_documented(program: str, page: str) -> None:
    options = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', (ROOT / program).read_text()))
    assert options
    assert missing(options, page) == []


def test_every_setting_of_the_local_cloud_is_documented() -> None:
    assert missing({field.name for field in fields(Settings)}, EMULATOR) == []


def test_every_simulated_setting_is_explained_in_the_report() -> None:
    settings = Settings()
    assert set(SIMULATED) >= {*settings.simulated(), *settings.paper()}


def test_every_dag_is_documented() -> None:
    dags = {path.stem for path in (ROOT / "dags").glob("*.py")}
    assert missing(dags, OPERATE) == []
    assert missing(dags, (DOCS / "reference/dags.md").read_text()) == []


def test_every_field_of_the_connection_is_documented() -> None:
    page = (DOCS / "reference/connection.md").read_text()
    assert missing(set(connection_fields()), page) == []


def test_every_key_of_the_report_is_documented() -> None:
    source = (ROOT / "local/report.py").read_text()
    body = source[source.index("def build_report") : source.index("def problems")]
    keys = set(re.findall(r'^        "(\w+)":', body, re.MULTILINE))
    assert len(keys) > 10
    assert missing(keys, QUICKSTART) == []


def test_every_package_that_set_up_installs_is_documented() -> None:
    script = (ROOT / "local/setup.sh").read_text()
    packages = set(re.findall(r"^need \S+ (\S+)$", script, re.MULTILINE))
    assert "containerd" in packages
    assert missing(packages, QUICKSTART.replace("\n", " ")) == []


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not link.startswith(("http://", "https://")):
                yield page, link


def test_every_link_leads_somewhere() -> None:
    broken = [f"{page.name}: {link}" for page, link in links() if not (page.parent / link).exists()]
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    while True:
        further = {
            found / "README.md" if found.is_dir() else found
            for page, link in links()
            if page in reached
            for found in [(page.parent / link).resolve()]
        } - reached
        if not further:
            break
        reached |= further
    lost = [str(page.relative_to(ROOT)) for page in PAGES if page not in reached]
    assert lost == [], "link them from the README or from a page that it links"


def test_the_readme_is_one_screen_with_picture_commands_and_map() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 45
    assert "docs/images/demo.svg" in readme
    assert "make demo" in readme
    assert "make up" in readme
    assert "simulated" in readme
