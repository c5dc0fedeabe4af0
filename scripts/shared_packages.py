"""Let an environment see the packages of the Python that runs this script, after its own.

Both must be of the same version of Python:

    python scripts/shared_packages.py ENVIRONMENT
"""

from __future__ import annotations

import sys
from pathlib import Path


def share_packages(environment: Path) -> None:
    """Write a file of paths into an environment; an earlier one is replaced."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / name / "site-packages"
    shared = [folder for folder in sys.path if folder.endswith("site-packages")]
    (packages / "shared.pth").write_text("\n".join([*shared, ""]), encoding="utf-8")


if __name__ == "__main__":
    share_packages(Path(sys.argv[1]))
