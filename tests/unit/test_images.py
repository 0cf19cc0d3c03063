"""References, node listings and the image lock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.images import (
    ImageLock,
    ImageReference,
    LockedImage,
    NodeImage,
    image_list,
    parse_crictl_json,
    parse_crictl_table,
)

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
PAUSE = "registry-cn-hangzhou-vpc.ack.aliyuncs.com/acs/pause"


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        (f"{PAUSE}:3.9", PAUSE, "3.9", ""),
        (f"{PAUSE}@{A}", PAUSE, "", A),
        (f"{PAUSE}:3.9@{A}", PAUSE, "3.9", A),
        (PAUSE, PAUSE, "", ""),
        ("127.0.0.1:5000/acs/pause:3.9", "127.0.0.1:5000/acs/pause", "3.9", ""),
        ("localhost/a:1", "localhost/a", "1", ""),
        ("registry:5000/a:1", "registry:5000/a", "1", ""),
        ("r.example.com/a/b/c--d/e__f.g:v1.2-x_Y", "r.example.com/a/b/c--d/e__f.g", "v1.2-x_Y", ""),
    ],
)
def test_a_reference_is_taken_apart(text: str, repository: str, tag: str, digest: str) -> None:
    assert ImageReference.parse(text) == ImageReference(repository, tag, digest)


def test_host_and_path_are_told_apart() -> None:
    name = ImageReference.parse("127.0.0.1:5000/acs/pause:3.9")
    assert (name.host, name.path, name.tagged) == (
        "127.0.0.1:5000",
        "acs/pause",
        "127.0.0.1:5000/acs/pause:3.9",
    )


@given(st.text(max_size=80))
def test_no_text_but_a_reference_gets_through(text: str) -> None:
    try:
        name = ImageReference.parse(text)
    except InvalidInputError:
        return
    assert text == name.tagged + (f"@{name.digest}" if name.digest else "")
    assert not set(text) & set(" \t\n\r\"'`$;&|<>(){}[]*?!#~\\\0")


def lock(*names: tuple[str, str]) -> ImageLock:
    return ImageLock(tuple(LockedImage(name, digest, 7) for name, digest in names))


def test_a_lock_is_sorted_and_has_each_image_once() -> None:
    found = lock((f"{PAUSE}:3.9", A), (f"{PAUSE}:3.10", B), (f"{PAUSE}:3.9", A))
    assert [image.reference for image in found.images] == [f"{PAUSE}:3.10", f"{PAUSE}:3.9"]


def test_the_order_of_images_does_not_change_the_digest() -> None:
    names = [(f"{PAUSE}:3.9", A), (f"{PAUSE}:3.10", B)]
    assert lock(*names).digest == lock(*reversed(names)).digest


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lock((f"{PAUSE}:3.9", B)), id="content"),
        pytest.param(lock((f"{PAUSE}:3.8", A)), id="name"),
        pytest.param(ImageLock((LockedImage(f"{PAUSE}:3.9", A),), "linux/arm64"), id="platform"),
    ],
)
def test_what_is_locked_changes_the_digest(other: ImageLock) -> None:
    assert other.digest != lock((f"{PAUSE}:3.9", A)).digest


def test_a_size_does_not_change_the_digest() -> None:
    one, other = LockedImage(f"{PAUSE}:3.9", A, 1), LockedImage(f"{PAUSE}:3.9", A, 2)
    assert ImageLock((one,)).digest == ImageLock((other,)).digest


def test_a_lock_survives_its_json() -> None:
    found = lock((f"{PAUSE}:3.9", A), (PAUSE, B))
    again = ImageLock.from_json(found.to_json())
    assert again == found
    assert [image.size_bytes for image in again.images] == [7, 7]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "platform": "linux/amd64", "images": []}',
        '{"version": 1, "platform": "windows/amd64", "images": []}',
        '{"version": 1, "platform": "linux/amd64", "images": [{"reference": "a"}]}',
        '{"version": 1, "platform": "linux/amd64", "images": 3}',
    ],
)
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        ImageLock.from_json(text)


def test_an_untagged_image_is_in_the_pull_list_only() -> None:
    found = lock((f"{PAUSE}:3.9", A), (PAUSE, B))
    assert found.image_list() == f"{PAUSE}:3.9\n"
    assert found.pull_list() == f"{B} 7 {PAUSE}\n{A} 7 {PAUSE}:3.9\n"


def test_a_pinned_name_has_no_tag() -> None:
    assert LockedImage(f"{PAUSE}:3.9", A).pinned == f"{PAUSE}@{A}"


@pytest.mark.parametrize(("reference", "digest"), [(f"{PAUSE}@{A}", A), (PAUSE, "sha256:0")])
def test_a_locked_image_needs_name_and_digest_apart(reference: str, digest: str) -> None:
    with pytest.raises(InvalidInputError):
        LockedImage(reference, digest)


def entry(**changes: Any) -> dict[str, Any]:
    """Return an image as ``crictl images -o json`` of cri-tools 1.32 writes it."""
    base = {
        "id": A,
        "repoTags": [f"{PAUSE}:3.9"],
        "repoDigests": [f"{PAUSE}@{B}"],
        "size": "300000",
        "uid": None,
        "username": "",
        "spec": None,
        "pinned": False,
    }
    return base | changes


def test_crictls_json_is_read() -> None:
    (image,) = parse_crictl_json(json.dumps({"images": [entry()]}))
    assert image == NodeImage(A, (f"{PAUSE}:3.9",), (f"{PAUSE}@{B}",), 300000)


@pytest.mark.parametrize(
    ("changes", "tags", "digests"),
    [
        pytest.param({"repoTags": []}, (), (f"{PAUSE}@{B}",), id="dangling"),
        pytest.param({"repoTags": None}, (), (f"{PAUSE}@{B}",), id="null"),
        pytest.param({"repoTags": ["<none>:<none>"]}, (), (f"{PAUSE}@{B}",), id="none in text"),
        pytest.param({"repoDigests": []}, (f"{PAUSE}:3.9",), (), id="imported"),
        pytest.param({"size": ""}, (f"{PAUSE}:3.9",), (f"{PAUSE}@{B}",), id="no size"),
    ],
)
def test_odd_images_are_read(
    changes: dict[str, Any], tags: tuple[str, ...], digests: tuple[str, ...]
) -> None:
    (image,) = parse_crictl_json(json.dumps({"images": [entry(**changes)]}))
    assert (image.tags, image.digests) == (tags, digests)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FATA[0000] connection refused",
        "[]",
        '{"images": [{}]}',
        json.dumps({"images": [entry(repoTags=["a b:1"])]}),
        json.dumps({"images": [entry(repoTags=["$(reboot):1"])]}),
    ],
)
def test_what_is_not_crictls_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_crictl_json(text)


TABLE = f"""\
IMAGE                                     TAG                 IMAGE ID            SIZE
docker.io/library/busybox                 latest              {A}                 2.2MB
docker.io/library/busybox                 <none>              {B}                 2.2MB
{PAUSE}                                   3.9                 {B}                 300kB
<none>                                    <none>              {B}                 300kB
"""


@pytest.mark.parametrize("text", [TABLE, TABLE.rstrip("\n")], ids=["whole", "no last newline"])
def test_the_table_is_read_in_its_order(text: str) -> None:
    assert parse_crictl_table(text) == [
        ("docker.io/library/busybox", "latest"),
        ("docker.io/library/busybox", "<none>"),
        (PAUSE, "3.9"),
        ("<none>", "<none>"),
    ]


@pytest.mark.parametrize("text", ["", "\n", "bash: crictl: command not found", "NAME TAG"])
def test_what_is_not_the_table_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_crictl_table(text)


def test_an_image_list_has_the_tagged_rows_of_all_nodes_once() -> None:
    one, other = parse_crictl_table(TABLE), [(PAUSE, "3.9"), (PAUSE, "3.10")]
    assert image_list([one, other]) == (
        f"docker.io/library/busybox:latest\n{PAUSE}:3.9\n{PAUSE}:3.10\n"
    )
