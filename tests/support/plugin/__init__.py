"""A package that adds a model to perfkit, as a user would write it."""

from __future__ import annotations

import shutil
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: heat-model\nVersion: 1.0\n"


def install(folder: Path, target: str = "heat_model:Heat", name: str = "heat") -> Path:
    """Lay the package out in a folder, as pip does; the folder belongs on ``sys.path``.

    Parameters
    ----------
    target
        Object that the entry point names.
    name
        Name of the entry point, which is that of the model.
    """
    for module in ("heat_model.py", "heat_foreign.py", "norms_model.py"):
        shutil.copy(Path(__file__).with_name(module), folder)
    information = folder / "heat_model-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(METADATA)
    (information / "entry_points.txt").write_text(f"[perfkit.models]\n{name} = {target}\n")
    return folder
