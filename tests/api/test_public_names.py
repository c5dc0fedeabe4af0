"""``import perfkit`` is fast, and offers every name that it lists."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import perfkit


def _printed(code: str) -> str:
    """What Python prints for ``code`` in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("module", ["jax", "pandas", "numpy", "plotly", "pydantic", "scipy"])
def test_import_perfkit_imports_nothing_heavy(module: str) -> None:
    assert _printed(f"import sys, perfkit; print({module!r} in sys.modules)") == "False"


@pytest.mark.parametrize("module", ["jax", "pandas", "plotly", "scipy.stats", "scipy.spatial"])
def test_the_command_run_starts_without_what_only_pages_and_checks_need(module: str) -> None:
    code = f"import sys, perfkit.cli.commands.run; print({module!r} in sys.modules)"
    assert _printed(code) == "False"


def test_a_function_imports_no_jax_before_it_is_called() -> None:
    code = "import sys, perfkit; perfkit.tune, perfkit.plan; print('jax' in sys.modules)"
    assert _printed(code) == "False"


@pytest.mark.parametrize("name", perfkit.__all__)
def test_every_listed_name_is_there(name: str) -> None:
    assert getattr(perfkit, name) is not None
    assert name in dir(perfkit)


def test_an_unlisted_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tnue'"):
        perfkit.tnue  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "function",
    [perfkit.run, perfkit.tune, perfkit.sweep, perfkit.profile, perfkit.plan],
    ids=["run", "tune", "sweep", "profile", "plan"],
)
def test_every_argument_is_given_by_name_and_documented(function: object) -> None:
    assert callable(function)
    documented = inspect.getdoc(function)
    assert documented is not None
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
        assert parameter.name in documented
