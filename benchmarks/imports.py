"""What importing delivery costs, over a Python that does nothing."""

from __future__ import annotations

import statistics

from .samples import Measure, sample

CODE = {
    "tg.common.delivery.delivery": "import tg.common.delivery.delivery",
    "Packaging and install_package_and_get_loader": (
        "from tg.common.delivery.delivery import Packaging, install_package_and_get_loader"
    ),
}


def measure(rounds: int) -> list[Measure]:
    found = []
    for name, code in CODE.items():
        differences = []
        for number in range(3 * rounds + 1):
            bare, ours = sample("-c", "pass")["whole"], sample("-c", code)["whole"]
            if number:
                differences.append(1000 * (ours - bare))
        reach = 60 if name.startswith("tg.") else None
        found.append(Measure(f"import of {name}", statistics.median(differences), "ms more", reach, f"`{code}`"))
    return found
