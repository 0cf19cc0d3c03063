"""Whose a node pool is, by its tags: a way back undoes only what nobody else counts on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ack_preload.domain import pool_runs
from ack_preload.domain.tags import (
    APPLIED_KEY,
    INSTALLATION_KEY,
    MAX_VALUE,
    PREVIOUS_KEY,
    PRODUCT,
    PRODUCT_KEY,
    RUN_KEY,
)

HERE = "tests"
ON_S0 = {"category": "cloud_essd", "size": 100, "performance_level": "PL1", "snapshot_id": "s-0"}
ON_S1 = {**ON_S0, "size": 40, "snapshot_id": "s-1"}

words = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=128)
disks = st.fixed_dictionaries(
    {"category": st.sampled_from(["cloud_essd", "cloud_auto"]), "size": st.integers(40, 32768)},
    optional={
        "snapshot_id": st.from_regex(r"s-[a-z0-9]{20}", fullmatch=True),
        "disk_name": words,
        "kms_key_id": st.uuids().map(str),
        "encrypted": st.sampled_from(["true", "false"]),
        "auto_format": st.booleans(),
        "provisioned_iops": st.integers(0, 50000),
        "performance_level": st.sampled_from(["PL0", "PL3"]),
    },
)


def made_by(run: str) -> dict[str, str]:
    return {PRODUCT_KEY: PRODUCT, INSTALLATION_KEY: HERE, RUN_KEY: run, "team": "theirs"}


def changed(tags: dict[str, str], run: str, before: Any, *, settled: bool = False) -> Any:
    return pool_runs.tags_of_change(tags, run, HERE, before, settled=settled)


@given(disk=disks)
def test_a_disk_comes_back_from_the_tags_exactly_as_it_was(disk: dict[str, Any]) -> None:
    tags = changed(made_by("A"), "B", disk)
    assert pool_runs.disk_before(tags) == disk
    assert all(len(value) <= MAX_VALUE for value in tags.values())
    assert not any(value.startswith(("aliyun", "acs:")) for value in tags.values())


@given(disk=disks)
def test_after_the_return_nothing_of_the_disk_is_left_in_the_tags(disk: dict[str, Any]) -> None:
    tags = pool_runs.tags_of_return(changed(made_by("A"), "B", disk))
    assert tags == made_by("A") | {APPLIED_KEY: "B"}
    assert not pool_runs.is_changed_by(tags, "B", HERE)


def test_a_disk_too_large_for_the_tags_keeps_its_snapshot_at_least() -> None:
    tags = changed(made_by("A"), "B", {**ON_S0, "disk_name": "x" * 600})
    assert tags[PREVIOUS_KEY] == "s-0"
    assert pool_runs.disk_before(tags) is None


@pytest.mark.parametrize("noted", ["", ".", ".{", ".[]", ".12"])
def test_a_note_that_is_no_disk_is_none(noted: str) -> None:
    assert pool_runs.disk_before({pool_runs.PREVIOUS_DISK_KEY: noted}) is None


def test_only_who_made_a_pool_may_delete_it_and_only_while_no_other_has_had_it() -> None:
    tags = made_by("A")
    assert pool_runs.is_only_of(tags, "A", HERE)
    assert not pool_runs.is_only_of(tags, "B", HERE)
    assert not pool_runs.is_only_of(tags, "A", "elsewhere")
    for later in (pool_runs.tags_of_taking(tags, "B", HERE), changed(tags, "B", ON_S0)):
        assert not pool_runs.is_only_of(later, "A", HERE)
        again = pool_runs.tags_of_taking(later, "A", HERE)  # cleared, it takes the pool back
        assert not pool_runs.is_only_of(again, "A", HERE)


def test_who_takes_a_pool_as_it_is_ends_the_way_back_of_the_one_before() -> None:
    tags = pool_runs.tags_of_taking(changed(made_by("A"), "B", ON_S0), "C", HERE)
    assert pool_runs.holder(tags) == "C"
    assert not pool_runs.is_changed_by(tags, "B", HERE)
    assert not pool_runs.is_changed_by(tags, "C", HERE)  # it changed nothing


def test_a_second_try_of_a_change_keeps_the_first_way_back() -> None:
    tags = changed(made_by("A"), "B", ON_S0)
    assert changed(tags, "B", ON_S1) == tags
    assert pool_runs.tags_of_taking(tags, "B", HERE) == tags


def test_what_a_run_recorded_as_good_is_its_own_next_way_back() -> None:
    for tags in (made_by("A"), changed(made_by("Z"), "A", ON_S0)):
        later = changed(tags, "A", ON_S1, settled=True)
        assert pool_runs.is_changed_by(later, "A", HERE)
        assert pool_runs.disk_before(later) == ON_S1
        assert not pool_runs.is_only_of(later, "A", HERE)


def test_a_run_that_changes_its_own_new_pool_may_still_delete_it() -> None:
    assert changed(made_by("A"), "A", ON_S0) == made_by("A")


@given(
    steps=st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["take", "change", "return"])))
)
def test_whatever_happens_one_run_at_most_may_undo_anything(steps: list[tuple[str, str]]) -> None:
    tags = made_by("A")
    for run, step in steps:
        if step == "take":
            tags = pool_runs.tags_of_taking(tags, run, HERE)
        elif step == "change":
            tags = changed(tags, run, ON_S0)
        elif pool_runs.is_changed_by(tags, run, HERE):
            tags = pool_runs.tags_of_return(tags)
        may_undo = [
            each
            for each in "ABC"
            if pool_runs.is_only_of(tags, each, HERE) or pool_runs.is_changed_by(tags, each, HERE)
        ]
        assert may_undo in ([], [pool_runs.holder(tags)])
        assert tags["team"] == "theirs"
        had_by_others = {each for each, done in steps if done != "return"} - {"A"}
        if pool_runs.is_only_of(tags, "A", HERE):
            assert pool_runs.holder(tags) == "A"
            assert APPLIED_KEY not in tags
        assert had_by_others or pool_runs.is_only_of(tags, "A", HERE)


@pytest.mark.parametrize(
    ("tag", "named"),
    [
        ("roll_out_node_pool/manual__2026-11-25T02:30:00+00:00", True),
        ("dag/run/with/slashes", True),
        ("dag", False),
        ("dag/", False),
        ("", False),
        ("dag/" + "x" * 124, False),
    ],
)
def test_a_run_is_named_by_its_tag_unless_that_was_cut(tag: str, named: bool) -> None:
    assert (pool_runs.run_named(tag) == tuple(tag.split("/", 1))) is named
