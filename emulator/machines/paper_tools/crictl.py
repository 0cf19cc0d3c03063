"""``crictl`` and ``ctr`` as far as an image list, a build and a proof need them.

Output and error texts follow cri-tools 1.32 and containerd 1.6, from their sources; they were not
compared with recordings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emulator.guest.crictl_table import HEADER, NONE, human_size, table, truncated
from emulator.machines.paper_tools.images import ImageStore, Name, look_up
from emulator.machines.paper_tools.machine import PaperRoot, ToolError
from emulator.machines.paper_tools.registry import (
    PullError,
    fetch_image,
    over_http,
    refuse_what_does_not_fit,
)
from emulator.machines.paper_tools.space import room_at

SOCKET = "/run/containerd/containerd.sock"


def crictl(root: PaperRoot, arguments: list[str]) -> int:
    """Run ``crictl COMMAND``."""
    match _without_globals(arguments, ("-r", "--runtime-endpoint", "-i", "--image-endpoint")):
        case ["images" | "image" | "img" | "ls", *options]:
            _running(root)
            return _images(ImageStore.of(root), options)
        case ["pull", *_, reference]:
            _running(root)
            _pull(root, reference)
            print(f"Image is up to date for {_id_of(root, reference)}")
        case ["rmi", *references]:
            _running(root)
            for reference in references:
                if not ImageStore.of(root).remove(reference):
                    raise ToolError(f'E rmi: no such image "{reference}"')
                print(f"Deleted: {reference}")
        case ["version" | "info", *_]:
            _running(root)
            print(f"Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  {_version(root)}")
        case other:
            raise ToolError(f"crictl on a paper machine does not know: {' '.join(other)}", 2)
    return 0


def ctr(root: PaperRoot, arguments: list[str]) -> int:
    """Run ``ctr COMMAND``; the only namespace with anything in it is the kubelet's."""
    globals_ = ("-n", "--namespace", "-a", "--address", "--timeout", "--connect-timeout")
    match _without_globals(arguments, globals_):
        case ["version"]:
            _running(root)
            print(f"Client:\n  Version:  {_version(root)}\n\nServer:\n  Version:  {_version(root)}")
        case ["images" | "image" | "i", command, *rest]:
            _running(root)
            _ctr_images(root, command, rest)
        case other:
            raise ToolError(f"ctr on a paper machine does not know: {' '.join(other)}", 2)
    return 0


def _ctr_images(root: PaperRoot, command: str, rest: list[str]) -> None:
    words = [word for word in rest if not word.startswith("-")]
    match command, words:
        case (("ls" | "list"), _):
            names = [n for facts in ImageStore.of(root).images().values() for n in facts["names"]]
            print("\n".join(sorted(names)))
        case "pull", [reference]:
            _pull(root, reference)
            print("done")
        case "label", [reference, *_]:  # nothing here reads labels
            print(reference)
        case "tag", [source, target]:
            ImageStore.of(root).tag(source, target)
            print(target)
        case _:
            raise ToolError(f"ctr images on a paper machine does not know: {command}", 2)


def _without_globals(arguments: list[str], valued: tuple[str, ...]) -> list[str]:
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in valued else rest[1:]
    return rest


def _running(root: PaperRoot) -> None:
    if not root.is_active("containerd"):
        raise ToolError(
            'FATA[0000] validate service connection: connection error: desc = "transport: Error '
            f'while dialing: dial unix {SOCKET}: connect: no such file or directory"'
        )


def _version(root: PaperRoot) -> str:
    return str(root.facts()["containerd"])


class PullRefusedError(Exception):
    """containerd does not pull an image: a code of gRPC, and its own words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def _pull(root: PaperRoot, reference: str) -> None:
    try:
        pull(root, reference)
    except PullRefusedError as refused:
        raise ToolError(
            f"FATA[0000] pulling image: rpc error: code = {refused.code} desc = {refused.text}"
        ) from None


def pull(root: PaperRoot, reference: str, authorization: str = "") -> None:
    """Pull an image as CRI does.

    :param authorization: what the registry gets to see when it asks for a login.
    :raises PullRefusedError: when it cannot be had.
    """
    name = Name.parse(reference).canonical
    unpacking = f'failed to pull and unpack image "{name}"'
    pulling = f'{unpacking}: failed to resolve reference "{name}"'
    try:
        catalogued = look_up(Path(root.facts()["catalogue"]), reference)
    except ToolError as exc:
        raise PullRefusedError("Unknown", f"{pulling}: failed to do request: {exc}") from None
    if catalogued is None:
        raise PullRefusedError("NotFound", f"{pulling}: {name}: not found")
    store, facts, registry = ImageStore.of(root), root.facts(), name.partition("/")[0]
    try:
        if registry in (facts["registry"], facts["private_registry"]):
            fetch = over_http(registry, authorization)
            fetch_image(fetch, registry, name, catalogued, store.has)
        refuse_what_does_not_fit(catalogued, room_at(root, store.folder))
    except PullError as exc:
        code = "NotFound" if "not found" in str(exc) else "Unknown"
        raise PullRefusedError(code, f"{unpacking}: {exc}") from None
    store.add(reference, catalogued)


def _id_of(root: PaperRoot, reference: str) -> str:
    found = ImageStore.of(root).find(reference)
    return found[0] if found else NONE


def _images(store: ImageStore, options: list[str]) -> int:
    listed = store.crictl_json()
    if "json" in options:
        print(json.dumps({"images": listed}, indent=2))
    elif {"-q", "--quiet"} & set(options):
        print("".join(f"{image['id']}\n" for image in listed), end="")
    else:
        print(listing(listed, no_trunc="--no-trunc" in options), end="")
    return 0


def listing(images: list[dict[str, Any]], *, no_trunc: bool) -> str:
    """Return the table of ``crictl images``: one row a tag, ``<none>`` for what has none."""
    rows: list[tuple[str, ...]] = [HEADER]
    for image in images:
        digests = image["repoDigests"]
        repository = digests[0].partition("@")[0] if digests else NONE
        shown = image["id"] if no_trunc else truncated(image["id"])
        for tag in image["repoTags"] or [f"{repository}:{NONE}"]:
            name, _, label = tag.rpartition(":")
            rows.append((name, label, shown, human_size(int(image["size"]))))
    return table(rows)
