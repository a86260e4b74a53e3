"""Bills of materials and signatures in other people's forms: each checked by the library whose form it is."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from projects import Project

from tg.common.delivery.delivery import Containering, inspect_package
from tg.common.delivery.delivery.bills import bill_of_image, bill_of_package
from tg.common.delivery.delivery.model_signature import write_model_signature
from tg.common.delivery.delivery.signing import sign_package
from tg.common.delivery.runtime.errors import TrustProblem
from tg.common.delivery.trust import SigningKey

pytestmark = pytest.mark.usefixtures("unchecked")


def read(bill: str) -> dict[str, Any]:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    read: dict[str, Any] = json.loads(bill)
    return read


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"].partition(":")[2]: one["value"] for one in component.get("properties", ())}


def test_the_bill_of_a_package_has_its_files_and_where_it_came_from(project: Project, tmp_path: Path) -> None:
    file = project.deliver(settings="packaging.dependencies = (DependencyList('mine', ['numpy>=1.26']),)")
    key = SigningKey.new(tmp_path / "key")
    sign_package(file, key, sequence=5)
    report = inspect_package(file)
    bill = read(bill_of_package(file))
    package = bill["metadata"]["component"]
    assert (package["name"], package["version"]) == ("my_job", "1.0.0")
    assert package["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}]
    told = properties(package)
    assert told["source-sha256"] == report.facts.source
    assert told["built-with-python"] == report.facts.built_with
    assert (told["signer"], told["sequence"]) == (key.public.key_id, "5")
    assert told["requires"] == "numpy>=1.26"
    hashes = {one["name"]: one["hashes"][0]["content"] for one in bill["components"]}
    assert hashes == {path: one.sha256 for path, one in report.files.items()}
    assert bill["metadata"]["tools"]["components"][0]["name"] == "training-grounds-delivery"


@pytest.mark.usefixtures("image_cache")
def test_the_bill_of_an_image_has_what_was_installed(project: Project) -> None:
    file = project.deliver(settings="packaging.dependencies = (DependencyList('mine', ['joblib']),)")
    image = Containering.from_package(file).compose(file)
    bill = read(bill_of_image(image, file))
    assert bill["metadata"]["component"]["hashes"][0]["content"] == image.digest.partition(":")[2]
    by_name = {one["name"]: one for one in bill["components"]}
    assert {"my_job", "joblib"} < set(by_name)
    assert by_name["joblib"]["purl"].startswith("pkg:pypi/joblib@")
    record = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "sh", _loaded(image), "-c",
         "cat /opt/tg/lib/python3*/site-packages/joblib-*.dist-info/RECORD"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert properties(by_name["joblib"])["record-sha256"] == hashlib.sha256(record).hexdigest()
    base = next(one for one in bill["components"] if one["bom-ref"].startswith("base:"))
    assert base["version"].startswith("sha256:")


def _loaded(image: Any) -> str:
    from tg.common.delivery.images.engine import Engine

    with Engine() as engine:
        return engine.load(image)


def test_a_signature_in_the_form_of_openssf_is_verified_by_its_library(project: Project, tmp_path: Path) -> None:
    from model_signing.verifying import Config

    key = tmp_path / "key.pem"
    openssl = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]
    subprocess.run(openssl, check=True, capture_output=True)
    key.chmod(0o600)
    public = tmp_path / "key.pub"
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    file = project.deliver()
    signature = write_model_signature(file, key)
    Config().use_elliptic_key_verifier(public_key=public).verify(file, signature)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"(?i)mismatch|digest|differ"):
        Config().use_elliptic_key_verifier(public_key=public).verify(file, signature)


def test_a_key_that_cannot_sign_there_is_refused(project: Project, tmp_path: Path) -> None:
    file = project.deliver()
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "ed"], check=True)
    (tmp_path / "ed").chmod(0o644)
    with pytest.raises(TrustProblem, match="can be read by others"):
        write_model_signature(file, tmp_path / "ed")
    (tmp_path / "ed").chmod(0o600)
    with pytest.raises(TrustProblem, match="has to be a key of the curve"):
        write_model_signature(file, tmp_path / "ed")
    with pytest.raises(TrustProblem, match="No such file"):
        write_model_signature(file, tmp_path / "nothing")
