"""What a user writes to make a package, as type checkers see it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import assert_type

from tg.common import Loc, Logger
from tg.common.delivery.delivery import (
    CheckReport,
    Containering,
    DeliveryError,
    DependencyList,
    InstalledPackage,
    PackageReport,
    Packaging,
    inspect_package,
    list_installed,
)
from tg.common.delivery.delivery.example_job import ExampleJob
from tg.common.delivery.inspection.page import write_page
from tg.common.delivery.trust import Policy, PublicKey, SigningKey

packaging = Packaging("example_job", "0.0.0", {"job": ExampleJob(), "table": {"a": 1}}, roots=["mycompany"])
packaging.dependencies = (*packaging.dependencies, DependencyList("mine", ["numpy>=2"]))
packaging.silent = True
assert_type(packaging.make_package(), Packaging)
assert_type(packaging.package_location, Path)
assert_type(packaging.check(), CheckReport)

key = SigningKey.new("key", comment="me")
assert_type(key, SigningKey)
assert_type(key.public, PublicKey)
packaging.sign(key, expires=timedelta(days=90))
policy = Policy.signed_by({"example_job": [key.public]})
assert_type(policy, Policy)

report = inspect_package(packaging.package_location, policy=policy)
assert_type(report, PackageReport)
assert_type(report.marked[0].home, str)
assert_type({path: one.size for path, one in report.files.items()}, dict[str, int])
assert_type(write_page(report.path, against="before.whl"), Path)
assert_type(list_installed(), list[InstalledPackage])

containering = Containering.from_packaging(packaging)
assert_type(containering, Containering)
assert_type(containering.image_name, str)

Logger.info("done")
assert_type(Loc.packages, Path)

try:
    packaging.make_package("folder")
except DeliveryError as error:
    assert_type(str(error), str)
