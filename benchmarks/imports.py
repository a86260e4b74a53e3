"""What importing delivery and starting the command cost, over a Python that does nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from .samples import Measure, median_measure, sample

CODE = {
    "tg.common.delivery.delivery": "import tg.common.delivery.delivery",
    "Packaging and install_package_and_get_loader": (
        "from tg.common.delivery.delivery import Packaging, install_package_and_get_loader"
    ),
}
COMMANDS = ("--version", "--help", "list")
COMMAND = (
    "import os, sys; sys.stdout = open(os.devnull, 'w'); from tg.common.cli.command import main; sys.exit(main([{!r}]))"
)
INSTALLED = """
from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
from tg.common.delivery.delivery.example_job import ExampleJob

for version in ("1", "2", "3"):
    packaging = Packaging("example_job", version, dict(job=ExampleJob()))
    packaging.silent, packaging.checked = True, False
    install_package_and_get_loader(packaging.make_package().package_location, silent=True)
"""


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    found = []
    for name, code in CODE.items():
        reach = 60 if name.startswith("tg.") else None
        found.append(_over_bare_python(f"import of {name}", code, rounds, reach, f"`{code}`"))
    with TemporaryDirectory() as folder:
        home = Path(folder)
        sample("-c", INSTALLED, home=home)
        for argument in COMMANDS:
            detail = "three packages in the store" if argument == "list" else ""
            found.append(_over_bare_python(f"`tg {argument}`", COMMAND.format(argument), rounds, 120, detail, home))
    return found


def _over_bare_python(
    name: str, code: str, rounds: int, reach: float | None, detail: str, home: Path | None = None
) -> Measure:
    differences = []
    for number in range(3 * rounds + 1):
        bare, ours = sample("-c", "pass")["whole"], sample("-c", code, home=home)["whole"]
        if number:
            differences.append(1000 * (ours - bare))
    return median_measure(name, "ms more", differences, reach, detail)
