"""Virtual environments with pip, as `python -m venv` makes them; pip is copied from the one that runs the tests.

Installed from its wheel, as venv does it, pip is compiled anew each time, which takes longer than all else that a test does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path


def make_environment(folder: Path) -> Path:
    """Make one, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    site = next(folder.glob("lib/python*/site-packages"))
    pip = distribution("pip")
    for name in ("pip", f"pip-{pip.version}.dist-info"):
        shutil.copytree(str(pip.locate_file(name)), site / name)
    script = folder / "bin/pip"
    script.write_text(f"#!{python}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n", "utf-8")
    script.chmod(0o755)
    return python
