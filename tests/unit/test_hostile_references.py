"""The corpus of texts that must be refused wherever an image reference is taken."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.images import ImageLock, ImageReference, LockedImage, parse_crictl_json

CORPUS = Path(__file__).parent / "hostile" / "image_references.txt"
DIGEST = "sha256:" + "0" * 64


def hostile() -> list[str]:
    lines = CORPUS.read_text().splitlines()
    return [literal(line) for line in lines if not line.startswith("# ")]


def literal(line: str) -> str:
    quoted = line.replace('"', '\\"')
    return str(ast.literal_eval(f'"{quoted}"'))


def test_the_corpus_is_large_and_each_text_in_it_different() -> None:
    texts = hostile()
    assert len(texts) >= 150
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("text", hostile(), ids=ascii)
def test_a_hostile_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ImageReference.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", hostile(), ids=ascii)
def test_a_hostile_reference_gets_into_no_lock(text: str) -> None:
    with pytest.raises(InvalidInputError):
        LockedImage(text, DIGEST)
    image = {"reference": text, "digest": DIGEST, "size_bytes": 1}
    stored = {"version": 1, "platform": "linux/amd64", "images": [image]}
    with pytest.raises(InvalidInputError):
        ImageLock.from_json(json.dumps(stored))


@pytest.mark.parametrize("text", [t for t in hostile() if "<none>" not in t], ids=ascii)
def test_a_node_cannot_hand_on_a_hostile_reference(text: str) -> None:
    listed = {"images": [{"id": DIGEST, "repoTags": [text], "repoDigests": [], "size": "1"}]}
    with pytest.raises(InvalidInputError):
        parse_crictl_json(json.dumps(listed))
