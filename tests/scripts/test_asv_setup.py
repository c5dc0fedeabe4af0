"""asv's environments: the Python that creates them and the versions that they contain."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from asv.plugins.virtualenv import Virtualenv

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_asv_prefers_its_own_python_to_a_failing_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shim = tmp_path / f"python{version}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Virtualenv._find_python(version) == str(shim)
    load("asv_plugin").setup()
    assert Path(Virtualenv._find_python(version)).parent == Path(sys.executable).parent
    assert os.environ["PATH"].split(os.pathsep)[1] == str(tmp_path)
