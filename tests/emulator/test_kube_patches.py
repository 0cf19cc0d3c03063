"""The three kinds of patch."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.kube.errors import KubeError
from emulator.kube.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, patched


@pytest.mark.parametrize(
    ("current", "patch", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
    ids=["adds", "removes by null", "replaces lists"],
)
def test_a_merge_patch(current: Any, patch: Any, result: Any) -> None:
    assert patched(current, patch, MERGE_PATCH) == result


@pytest.mark.parametrize(
    ("current", "patch", "result"),
    [
        pytest.param(
            {"conditions": [{"type": "A", "status": "x"}, {"type": "B"}]},
            {"conditions": [{"type": "A", "status": "y"}, {"type": "C"}]},
            {"conditions": [{"type": "A", "status": "y"}, {"type": "B"}, {"type": "C"}]},
            id="merges lists by key",
        ),
        pytest.param(
            {"taints": [{"key": "a"}, {"key": "b"}]},
            {"taints": [{"key": "a", "$patch": "delete"}]},
            {"taints": [{"key": "b"}]},
            id="deletes by key",
        ),
        pytest.param(
            {"taints": [{"key": "a"}]},
            {"taints": [{"$patch": "replace"}, {"key": "c"}]},
            {"taints": [{"key": "c"}]},
            id="replaces a list",
        ),
        pytest.param(
            {"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}, id="a set"
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b"]},
            id="deletes from a set",
        ),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}, id="an atomic list"),
        pytest.param(
            {"labels": {"a": "1"}},
            {"labels": {"$patch": "replace", "b": "2"}},
            {"labels": {"b": "2"}},
            id="replaces a map",
        ),
    ],
)
def test_a_strategic_patch(current: Any, patch: Any, result: Any) -> None:
    assert patched(current, patch, STRATEGIC_PATCH) == result


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/b", "value": 2}, {"a": [1], "b": 2}),
        ({"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"op": "add", "path": "/a/0", "value": 0}, {"a": [0, 1]}),
        ({"op": "replace", "path": "/a/0", "value": 9}, {"a": [9]}),
        ({"op": "remove", "path": "/a/0"}, {"a": []}),
        ({"op": "copy", "from": "/a", "path": "/b~1c"}, {"a": [1], "b/c": [1]}),
        ({"op": "move", "from": "/a", "path": "/b"}, {"b": [1]}),
        ({"op": "test", "path": "/a/0", "value": 1}, {"a": [1]}),
    ],
    ids=lambda each: each.get("op") if isinstance(each, dict) else "",
)
def test_a_json_patch(operation: Any, result: Any) -> None:
    assert patched({"a": [1]}, [operation], JSON_PATCH) == result


@pytest.mark.parametrize(
    ("patch", "media_type", "code"),
    [
        ([{"op": "remove", "path": "/none"}], JSON_PATCH, 422),
        ([{"op": "test", "path": "/a", "value": 2}], JSON_PATCH, 422),
        ([{"op": "dance", "path": "/a"}], JSON_PATCH, 400),
        ({"conditions": [{"status": "x"}]}, STRATEGIC_PATCH, 400),
        ({"$retainKeys": ["a"]}, STRATEGIC_PATCH, 400),
        ({}, "application/apply-patch+yaml", 415),
        ([], MERGE_PATCH, 400),
    ],
    ids=[
        "no such path",
        "failed test",
        "unknown op",
        "no key",
        "unknown directive",
        "apply",
        "list",
    ],
)
def test_a_patch_that_cannot_be_applied_is_refused(patch: Any, media_type: str, code: int) -> None:
    with pytest.raises(KubeError) as caught:
        patched({"a": 1}, patch, media_type)
    assert caught.value.code == code


def test_the_patched_object_is_not_changed_in_place() -> None:
    current = {"a": {"b": [1]}}
    patched(current, [{"op": "add", "path": "/a/b/-", "value": 2}], JSON_PATCH)
    assert current == {"a": {"b": [1]}}
