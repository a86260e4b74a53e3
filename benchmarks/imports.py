"""What importing delivery costs, over a Python that does nothing."""

from __future__ import annotations

from .samples import Measure, median_measure, sample

CODE = {
    "tg.common.delivery.delivery": "import tg.common.delivery.delivery",
    "Packaging and install_package_and_get_loader": (
        "from tg.common.delivery.delivery import Packaging, install_package_and_get_loader"
    ),
}


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    found = []
    for name, code in CODE.items():
        differences = []
        for number in range(3 * rounds + 1):
            bare, ours = sample("-c", "pass")["whole"], sample("-c", code)["whole"]
            if number:
                differences.append(1000 * (ours - bare))
        reach = 60 if name.startswith("tg.") else None
        found.append(median_measure(f"import of {name}", "ms more", differences, reach, f"`{code}`"))
    return found
