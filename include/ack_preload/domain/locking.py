"""From what nodes list to an image lock, and from an image lock to the proof on a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ack_preload.domain.images import ImageReference, LockedImage, NodeImage


@dataclass(frozen=True, slots=True)
class Listing:
    """What is to be locked, and what cannot be without asking a registry.

    :ivar unresolved: tagged names without a digest (imported images), with their sizes.
    :ivar nameless: ids of images that have neither a tag nor a digest: no registry can give them.
    :ivar moved: tags that mean different content on different nodes; the most common one won.
    """

    images: tuple[LockedImage, ...]
    unresolved: Mapping[str, int]
    nameless: tuple[str, ...]
    moved: tuple[str, ...]


def union(nodes: Sequence[Iterable[NodeImage]]) -> Listing:
    """Return the images that any of the nodes has."""
    digests: dict[str, Counter[str]] = {}
    sizes: dict[str, int] = {}
    dangling: set[LockedImage] = set()
    unresolved: dict[str, int] = {}
    nameless: set[str] = set()
    for image in (image for node in nodes for image in node):
        for tag in image.tags:
            digest = image.digest_for(ImageReference.parse(tag).repository)
            if digest:
                digests.setdefault(tag, Counter())[digest] += 1
                sizes[digest] = image.size_bytes
            else:
                unresolved[tag] = image.size_bytes
        if not image.tags:
            dangling.update(_by_digest(image))
        if not image.tags and not image.digests:
            nameless.add(image.image_id)
    tagged, losers = _settled(digests, sizes)
    kept = {image.digest for image in tagged}
    images = {*tagged, *losers, *(image for image in dangling if image.digest not in kept)}
    return Listing(
        images=tuple(sorted(images)),
        unresolved={tag: size for tag, size in unresolved.items() if tag not in digests},
        nameless=tuple(sorted(nameless)),
        moved=tuple(sorted(tag for tag, counted in digests.items() if len(counted) > 1)),
    )


def _by_digest(image: NodeImage) -> set[LockedImage]:
    parsed = map(ImageReference.parse, image.digests)
    return {LockedImage(name.repository, name.digest, image.size_bytes) for name in parsed}


def _settled(
    digests: Mapping[str, Counter[str]], sizes: Mapping[str, int]
) -> tuple[set[LockedImage], set[LockedImage]]:
    """Give each tag one digest; the other digests stay, without the tag."""
    tagged, losers = set(), set()
    for tag, counted in digests.items():
        winner, *others = sorted(counted, key=lambda digest: (-counted[digest], digest))
        tagged.add(LockedImage(tag, winner, sizes[winner]))
        repository = ImageReference.parse(tag).repository
        losers |= {LockedImage(repository, digest, sizes[digest]) for digest in others}
    return tagged, losers


def problems(locked: Iterable[LockedImage], present: Sequence[NodeImage]) -> list[str]:
    """Return what is missing or wrong on a node, one sentence an image; nothing when proven."""
    tag_digests: dict[str, set[str]] = {}
    all_digests: set[str] = set()
    for image in present:
        digests = {ImageReference.parse(name).digest for name in image.digests}
        all_digests |= digests
        for tag in image.tags:
            tag_digests.setdefault(tag, set()).update(digests)
    found = []
    for wanted in locked:
        if wanted.digest not in all_digests:
            found.append(f"{wanted.reference}: {wanted.digest} is not there")
        elif ImageReference.parse(wanted.reference).tag:
            meant = tag_digests.get(wanted.reference)
            if meant is None:
                found.append(f"{wanted.reference}: its content is there, its tag is not")
            elif wanted.digest not in meant:
                was = ", ".join(sorted(meant)) or "an image without a digest"
                found.append(f"{wanted.reference}: means {was}, not {wanted.digest}")
    return found
