"""The py-spy observer on a program with a known busiest function."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from perfkit.observers.observer import ObservedRun
from perfkit.observers.py_spy import PySpy, PythonResult, innermost_seconds
from tests.support.profiled_programs import observed

pytestmark = pytest.mark.alone

CODE = """
import time
def spin_here():
    while time.monotonic() < end: pass
end = time.monotonic() + 2
spin_here()
"""


def test_the_busiest_function_is_found_and_both_files_are_written(tmp_path: Path) -> None:
    observer = PySpy()
    if (reason := observer.unavailable()) is not None:
        pytest.skip(reason)
    with observed([observer], CODE, tmp_path):
        pass
    found = observer.results(ObservedRun((), None))
    assert found.missing == ""
    seen = PythonResult.model_validate(found.data)
    assert seen.innermost["spin_here (<string>)"] == pytest.approx(2.0, abs=0.5)
    assert (tmp_path / "py-spy.svg").read_text().startswith("<?xml")
    document = json.loads((tmp_path / "py-spy.speedscope.json").read_text())
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert {path.name for path in found.files.values()} == {"py-spy.svg", "py-spy.speedscope.json"}


@pytest.mark.slow
def test_the_speedscope_file_validates_against_the_published_schema(tmp_path: Path) -> None:
    """The schema is in the package of speedscope, which npm downloads."""
    jsonschema = pytest.importorskip("jsonschema")
    observer = PySpy()
    if shutil.which("npm") is None or observer.unavailable() is not None:
        pytest.skip("npm or py-spy is not installed")
    subprocess.run(["npm", "pack", "speedscope@1.25.0"], cwd=tmp_path, check=True)
    with tarfile.open(tmp_path / "speedscope-1.25.0.tgz") as package:
        schema = package.extractfile("package/dist/release/file-format-schema.json")
        assert schema is not None
        rules = json.load(schema)
    with observed([observer], CODE, tmp_path):
        pass
    observer.results(ObservedRun((), None))
    document = json.loads((tmp_path / "py-spy.speedscope.json").read_text())
    jsonschema.validate(document, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"profiles": [{"type": "no such type"}]}, rules)


def test_the_thread_with_most_samples_is_reported() -> None:
    document = {
        "shared": {"frames": [{"name": "main", "file": "a.py"}, {"name": "work", "file": "b.py"}]},
        "profiles": [
            {"type": "sampled", "samples": [[0]], "weights": [0.5]},
            {"type": "sampled", "samples": [[0], [0, 1], [0, 1]], "weights": [0.25, 1.0, 0.5]},
        ],
    }
    seen = innermost_seconds(document)
    assert seen.innermost == {"work (b.py)": 1.5, "main (a.py)": 0.25}
    assert seen.seconds == 1.75
