"""The shipped presets are those that the script makes from the studies in ``reports/``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from perfkit.presets.known import SHIPPED
from scripts.shipped_presets import REPOSITORY, main


def _presets(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): tomllib.loads(path.read_text())
        for path in folder.glob("*/*.toml")
    }


def test_the_shipped_presets_are_up_to_date(tmp_path: Path) -> None:
    gone = tmp_path / "af3/gone.toml"
    gone.parent.mkdir()
    gone.touch()
    main(["--out", str(tmp_path)])
    assert not gone.exists()
    assert _presets(tmp_path) == _presets(SHIPPED)
    studies = {path.parent.name for path in (REPOSITORY / "reports").glob("*/preset.toml")}
    assert {Path(name).stem for name in _presets(SHIPPED)} == studies
