"""From nodes to a lock, and from a lock to the proof."""

from __future__ import annotations

import pytest

from ack_preload.domain.images import LockedImage, NodeImage
from ack_preload.domain.locking import problems, union

REPO = "r.example.com/acs/app"
A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def image(
    digest: str, *tags: str, repository: str = REPO, digests: tuple[str, ...] | None = None
) -> NodeImage:
    names = tuple(f"{repository}:{tag}" for tag in tags)
    known = (f"{repository}@{digest}",) if digests is None else digests
    return NodeImage(f"id-{digest}", names, known, 5)


def test_the_union_has_what_any_node_has() -> None:
    found = union([[image(A, "1")], [image(B, "2"), image(A, "1")]])
    assert found.images == (LockedImage(f"{REPO}:1", A), LockedImage(f"{REPO}:2", B))
    assert not found.moved
    assert not found.unresolved
    assert not found.nameless


def test_each_tag_of_an_image_is_locked() -> None:
    found = union([[image(A, "1", "1.0")]])
    assert [i.reference for i in found.images] == [f"{REPO}:1", f"{REPO}:1.0"]


def test_a_dangling_image_is_kept_by_digest() -> None:
    assert union([[image(A)]]).images == (LockedImage(REPO, A),)


def test_a_dangling_image_that_another_node_names_is_locked_once() -> None:
    assert union([[image(A)], [image(A, "1")]]).images == (LockedImage(f"{REPO}:1", A),)


def test_a_tag_that_moved_means_what_most_nodes_have() -> None:
    found = union([[image(A, "1")], [image(B, "1")], [image(B, "1")]])
    assert found.images == (LockedImage(REPO, A), LockedImage(f"{REPO}:1", B))
    assert found.moved == (f"{REPO}:1",)


def test_a_tie_is_broken_the_same_way_whatever_the_order() -> None:
    nodes = [[image(A, "1")], [image(B, "1")]]
    assert union(nodes).images == union(nodes[::-1]).images


def test_an_imported_image_has_to_be_resolved() -> None:
    found = union([[image(A, "1", digests=())]])
    assert found.images == ()
    assert found.unresolved == {f"{REPO}:1": 5}


def test_an_image_without_any_name_is_reported() -> None:
    assert union([[image(A, digests=())]]).nameless == (f"id-{A}",)


def test_the_digest_of_the_tags_own_repository_is_taken() -> None:
    mirrored = image(A, "1", digests=(f"mirror.example.com/app@{B}", f"{REPO}@{A}"))
    assert union([[mirrored]]).images == (LockedImage(f"{REPO}:1", A),)


def test_nothing_is_missing_from_a_node_that_has_it_all() -> None:
    locked = [LockedImage(f"{REPO}:1", A), LockedImage(REPO, B)]
    assert problems(locked, [image(A, "1", "extra"), image(B), image(C, "3")]) == []


@pytest.mark.parametrize(
    ("present", "said"),
    [
        pytest.param([], f"{REPO}:1: {A} is not there", id="missing"),
        pytest.param([image(B, "1")], f"{REPO}:1: {A} is not there", id="other content"),
        pytest.param([image(A)], f"{REPO}:1: its content is there, its tag is not", id="no tag"),
        pytest.param(
            [image(A, "2"), image(B, "1")], f"{REPO}:1: means {B}, not {A}", id="wrong digest"
        ),
        pytest.param(
            [image(A), image(B, "1", digests=())],
            f"{REPO}:1: means an image without a digest, not {A}",
            id="imported",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_said(present: list[NodeImage], said: str) -> None:
    assert problems([LockedImage(f"{REPO}:1", A)], present) == [said]
