"""An image as a value: what its manifest, config and archive say (image-spec 1.1)."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

from tg.common.delivery.images.image import Image
from tg.common.delivery.images.image_archive import archive_of
from tg.common.delivery.images.layer_writer import LayerFile, write_layer

CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "1980-01-01T00:00:00Z",
    "config": {"Entrypoint": ["python3.11", "-m", "job__1"], "Labels": {"org.opencontainers.image.title": "job"}},
}
LAYERS = [
    write_layer([LayerFile(name, name.encode())], f"layer {name}") for name in ("base", "dependencies", "package")
]


def made() -> Image:
    return Image.of("team/job", "1.0", CONFIG, LAYERS)


def archived(image: Image, **options: Any) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive_of(image, **options)))) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]


def test_the_config_lists_what_the_layers_are_unzipped() -> None:
    config = json.loads(made().config.read())
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer.diff_id for layer in LAYERS]}
    assert [one["created_by"] for one in config["history"]] == ["layer base", "layer dependencies", "layer package"]
    assert config["config"] == CONFIG["config"]


def test_the_manifest_lists_the_blobs_and_has_the_labels() -> None:
    image = made()
    manifest = json.loads(image.manifest.read())
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": image.id,
        "size": image.config.size,
    }
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.blob.digest for layer in LAYERS]
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert manifest["annotations"] == CONFIG["config"]["Labels"]


def test_the_same_input_gives_the_same_bytes() -> None:
    assert b"".join(archive_of(made())) == b"".join(archive_of(made()))


def test_the_archive_is_an_oci_layout_and_what_docker_saves() -> None:
    image = made()
    members = archived(image)
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (indexed,) = json.loads(members["index.json"])["manifests"]
    assert indexed["digest"] == image.digest
    assert indexed["annotations"] == {
        "io.containerd.image.name": "docker.io/team/job:1.0",
        "org.opencontainers.image.ref.name": "1.0",
    }
    (described,) = json.loads(members["manifest.json"])
    assert described["RepoTags"] == ["team/job:1.0"]
    for name in (described["Config"], *described["Layers"], f"blobs/{image.digest.replace(':', '/')}"):
        assert hashlib.sha256(members[name]).hexdigest() == name.rpartition("/")[2]


def test_layers_that_are_there_already_are_left_out_and_still_named() -> None:
    members = archived(made(), without=[LAYERS[0].diff_id, LAYERS[1].diff_id])
    assert LAYERS[0].blob.file not in members
    assert LAYERS[2].blob.file in members
    assert len(json.loads(members["manifest.json"])[0]["Layers"]) == 3
