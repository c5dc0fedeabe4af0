"""What a call announces: the package that runs the model, and what comes from elsewhere."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path

from perfkit.api.progress import package_lines
from perfkit.api.studies.tuning import start_warnings
from perfkit.api.subject import preset_warnings
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.models.gencast.model import GenCast
from perfkit.models.workload import Workload
from perfkit.presets.known import Measured, shipped_presets
from perfkit.presets.starting import StartingPoint
from perfkit.version import __version__
from tests.support.replay import RECORDED

RUNS = f"  package: perfkit {__version__}, jaxlib {version('jaxlib')}"


class _Elsewhere(GenCast):
    """A model whose memory was not measured with the installed package."""

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> None:
        """None."""


def _start(jaxlib: str) -> StartingPoint:
    """A starting point that was measured with a jaxlib."""
    preset = shipped_presets("gencast")[0]
    measured = Measured(versions={"jaxlib": jaxlib})
    return StartingPoint(STOCK, dataclasses.replace(preset, measured=measured))


def test_the_package_is_named_with_its_version_and_jaxlib() -> None:
    assert package_lines(GenCast(), RECORDED) == [RUNS]


def test_memory_that_is_not_predicted_for_the_package_is_noted() -> None:
    assert package_lines(_Elsewhere(), RECORDED) == [
        RUNS,
        f"  note: memory is not predicted for perfkit {__version__}: trials show what it needs, "
        "and nothing is refused because of it",
    ]


def test_a_preset_is_applied_although_its_measurements_cannot_be_read(tmp_path: Path) -> None:
    assert preset_warnings(None) == []
    path = tmp_path / "preset.toml"
    path.write_text("model = 'gencast'\n[knobs]\n[measured]\nsize = 'large'\n")
    (sentence,) = preset_warnings(path)
    assert sentence.startswith(f"the measurements of the preset {path} cannot be read: size: ")


def test_one_sentence_covers_the_starting_points_of_other_environments() -> None:
    here = _start(version("jaxlib"))
    assert start_warnings([]) == start_warnings([here]) == []
    (sentence,) = start_warnings([here, _start("0.0.1")])
    assert sentence.startswith("a starting point of the search: the shipped preset gencast")
    assert "with jaxlib 0.0.1, but here is jaxlib" in sentence
    assert sentence.endswith("time and memory may differ")
    (sentence,) = start_warnings([_start("0.0.1"), here, _start("0.0.2"), _start("0.0.3")])
    assert "0.0.1" in sentence
    assert sentence.endswith("(and 2 further starting points)")
