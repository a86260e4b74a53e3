"""The verb `image`: a container image of a package, at an engine or in a registry."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from ...delivery.runtime.sizes import size_of
from ..bars import Bars
from ..deliverable import add_settings, package_file_of
from ..log_handler import shown
from ..places import add_image_settings, add_policy, containering_of, policy_of

__all__ = ["VERBS"]


def _image_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("package", help="a package file, or module:object")
    parser.add_argument(
        "--to",
        default="docker",
        metavar="PLACE",
        help="docker, the engine here; that of a server, ssh://me@server; or a registry, host:5000/team; %(default)s unless given",
    )
    parser.add_argument(
        "--tag", metavar="NAME:TAG", help="what it is called; the package's name and version unless given"
    )
    add_image_settings(parser)
    parser.add_argument("--image-python", metavar="X.Y", help="of the image; the running one unless given")
    parser.add_argument(
        "--platform", metavar="PLATFORM", help="linux/amd64 or linux/arm64; what it goes to unless given"
    )
    parser.add_argument(
        "--renew", action="store_true", help="ask anew what the base image's name stands for, and resolve anew"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    add_policy(parser)
    add_settings(parser)
    parser.set_defaults(call=_image)


def _image(options: Namespace) -> int:
    from ...delivery.delivery.containering import Containering
    from ...delivery.images.engine_pusher import EnginePusher
    from ...delivery.images.pushing import RegistryPusher

    with shown(), Bars():
        file = package_file_of(options.package, options)
        settings = containering_of(file, options) or Containering.from_package(file)
        settings.policy = policy_of(options.policy)
        if options.to == "docker" or "://" in options.to:
            settings.pusher = EnginePusher(None if options.to == "docker" else options.to)
        else:
            settings.pusher = RegistryPusher(options.to)
        if options.tag:
            name, _, tag = options.tag.rpartition(":")
            settings.image_name, settings.image_tag = (
                (name, tag) if name and "/" not in tag else (options.tag, settings.image_tag)
            )
        for setting, value in (
            ("python_version", options.image_python),
            ("platform", options.platform),
        ):
            if value:
                setattr(settings, setting, value)
        settings.renew = options.renew
        image = settings.compose(file)
        reference = settings.pusher.push(image)
    if options.json:
        layers = [
            {"digest": one.blob.digest, "size": one.blob.size, "created_by": one.created_by} for one in image.layers
        ]
        told = {
            "reference": reference,
            "id": image.id,
            "digest": image.digest,
            "platform": image.platform,
            "layers": layers,
        }
        print(json.dumps(told, indent=2))
    else:
        whole, own = sum(one.blob.size for one in image.layers), image.layers[-1].blob.size
        print(
            f"{reference} is {image.digest} for {image.platform} ({size_of(whole)}, {size_of(own)} of it the package)"
        )
    return 0


VERBS = {"image": _image_arguments}
