"""A stand-in for crictl: the commands that preloading and its checks use, over CRI.

Output as crictl 1.32's, column by column and field by field; what is not here is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.json_format import (  # type: ignore[import-untyped]  # has no types
    MessageToDict,
)

from .cri import DEFAULT_SOCKET, Cri, CriError
from .crictl_table import HEADER, age, image_rows, sort_key, table, truncated

ABOUT = (
    "A stand-in for crictl: it speaks the real CRI to the real containerd, but has only the"
    " commands below."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it is done, 1 with a message when the runtime refuses."""
    options = _parser().parse_args(arguments)
    cri = Cri(options.runtime_endpoint.removeprefix("unix://"))
    command: Callable[[Cri, argparse.Namespace], int] = options.command
    try:
        return command(cri, options)
    except CriError as error:
        print(f"crictl: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crictl", description=ABOUT)
    endpoint = {"metavar": "SOCKET", "default": f"unix://{DEFAULT_SOCKET}"}
    parser.add_argument("-r", "--runtime-endpoint", **endpoint)  # type: ignore[arg-type]  # all str
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    images = commands.add_parser("images", aliases=["image", "img"], help="list images")
    images.add_argument("--digests", action="store_true", help="show digests")
    images.add_argument("--no-trunc", action="store_true", help="show whole ids")
    images.add_argument("-q", "--quiet", action="store_true", help="show ids only")
    images.add_argument("-o", "--output", choices=("json", "table"), default="table")
    images.set_defaults(command=_images)

    pull = commands.add_parser("pull", help="pull an image from a registry")
    pull.add_argument("image", metavar="NAME[:TAG|@DIGEST]")
    pull.set_defaults(command=_pull)

    rmi = commands.add_parser("rmi", help="remove images")
    rmi.add_argument("images", metavar="IMAGE", nargs="+")
    rmi.set_defaults(command=_rmi)

    inspecti = commands.add_parser("inspecti", help="show one image as JSON")
    inspecti.add_argument("image", metavar="IMAGE")
    inspecti.add_argument("-o", "--output", choices=("json",), default="json")
    inspecti.set_defaults(command=_inspecti)

    ps = commands.add_parser("ps", help="list containers")
    ps.add_argument("-a", "--all", action="store_true", help="those that have ended too")
    ps.add_argument("--no-trunc", action="store_true", help="show whole ids")
    ps.add_argument("-q", "--quiet", action="store_true", help="show ids only")
    ps.add_argument("-o", "--output", choices=("json", "table"), default="table")
    ps.set_defaults(command=_ps)

    commands.add_parser("version", help="show the runtime's version").set_defaults(command=_version)
    commands.add_parser("info", help="show the runtime's state").set_defaults(command=_info)
    return parser


def _images(cri: Cri, options: argparse.Namespace) -> int:
    found = sorted(cri.list_images().images, key=sort_key)
    if options.output == "json":
        _print_json({"images": [_image_json(image) for image in found]})
    elif options.quiet:
        for image in found:
            print(image.id)
    else:
        rows: list[tuple[str, ...]] = [
            HEADER if not options.digests else (*HEADER[:2], "DIGEST", *HEADER[2:])
        ]
        for image in found:
            rows += image_rows(image, digests=options.digests, whole=options.no_trunc)
        sys.stdout.write(table(rows))
    return 0


def _pull(cri: Cri, options: argparse.Namespace) -> int:
    print(f"Image is up to date for {cri.pull(options.image)}")
    return 0


def _rmi(cri: Cri, options: argparse.Namespace) -> int:
    code = 0
    for reference in options.images:
        image = cri.image(reference)
        if image is None:
            print(f"crictl: no such image {reference}", file=sys.stderr)
            code = 1
            continue
        cri.remove_image(image.id)
        for name in image.tags or image.digests:
            print(f"Deleted: {name}")
    return code


def _inspecti(cri: Cri, options: argparse.Namespace) -> int:
    found = cri.image_status(options.image, verbose=True)
    if not found.HasField("image"):
        print(f"crictl: no such image {options.image!r} present", file=sys.stderr)
        return 1
    _print_json({"status": _image_json(found.image), **_details(found.info)})
    return 0


def _ps(cri: Cri, options: argparse.Namespace) -> int:
    containers = sorted(cri.containers(), key=lambda each: -each.created_at)
    if not options.all:
        containers = [each for each in containers if _state(each) == "Running"]
    if options.output == "json":
        _print_json({"containers": [_whole(each) for each in containers]})
    elif options.quiet:
        for container in containers:
            print(container.id)
    else:
        sys.stdout.write(table(_container_rows(containers, whole=options.no_trunc)))
    return 0


def _container_rows(containers: Sequence[Any], *, whole: bool) -> list[tuple[str, ...]]:
    columns = "CONTAINER,IMAGE,CREATED,STATE,NAME,ATTEMPT,POD ID,POD,NAMESPACE"
    rows = [tuple(columns.split(","))]
    for each in containers:
        identifiers = (each.id, each.image.image, each.pod_sandbox_id)
        container, image, sandbox = identifiers if whole else map(truncated, identifiers)
        rows.append(
            (
                container,
                image,
                age(each.created_at),
                _state(each),
                each.metadata.name,
                str(each.metadata.attempt),
                sandbox,
                each.labels.get("io.kubernetes.pod.name", "unknown"),
                each.labels.get("io.kubernetes.pod.namespace", "unknown"),
            )
        )
    return rows


def _state(container: Any) -> str:
    return ("Created", "Running", "Exited", "Unknown")[container.state]


def _version(cri: Cri, _options: argparse.Namespace) -> int:
    version = cri.version()
    print(f"Version:  {version.version}")
    print(f"RuntimeName:  {version.runtime_name}")
    print(f"RuntimeVersion:  {version.runtime_version}")
    print(f"RuntimeApiVersion:  {version.runtime_api_version}")
    return 0


def _info(cri: Cri, _options: argparse.Namespace) -> int:
    reply = cri.status(verbose=True)
    _print_json({"status": _whole(reply.status), **_details(reply.info)})
    return 0


def _image_json(image: Any) -> dict[str, Any]:
    """Return an image with the fields that crictl prints, unset ones included."""
    whole = _whole(image)
    shown = {name: whole[name] for name in ("id", "repoTags", "repoDigests", "size")}
    shown["uid"] = whole.get("uid")
    shown["username"] = whole["username"]
    shown["spec"] = whole.get("spec")
    shown["pinned"] = whole["pinned"]
    return shown


def _whole(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return fields


def _details(info: Any) -> dict[str, Any]:
    """Return the runtime's own details, which come as a map of JSON texts."""
    details = {}
    for name, text in info.items():
        try:
            details[name] = json.loads(text)
        except ValueError:
            details[name] = text
    return details


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
