"""What an environment of another jaxlib shares with the running one, and what it installs."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from perfkit.environments.installers import reason_in
from perfkit.environments.requirements import requirements


def _installed(
    folder: Path, name: str, *requires: str, direct_url: bool = False
) -> metadata.Distribution:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (info / "METADATA").write_text("\n".join([*lines, ""]))
    if direct_url:
        (info / "direct_url.json").write_text('{"url": "git"}')
    return metadata.Distribution.at(info)


def test_only_packages_that_exclude_the_version_are_installed_again(tmp_path: Path) -> None:
    installed = [
        _installed(tmp_path, "jax", "jaxlib<=9.9,>=9.9"),
        _installed(tmp_path, "numpy"),
        _installed(tmp_path, "fits", "jax>=7.0", "jaxlib>=7.0"),
        _installed(tmp_path, "too_new", "jax>=8"),
        _installed(tmp_path, "Of.Its-Extra", 'jax>=8; extra == "jax"'),
        _installed(tmp_path, "tests_with_another", 'jax==8.2; extra == "bench"'),
        _installed(tmp_path, "of_another_system", 'jax>=8; sys_platform == "win32"'),
        _installed(tmp_path, "unreadable", "jax (>=!)"),
    ]
    assert requirements("7.1", installed) == [
        "jaxlib==7.1",
        "jax==7.1",
        "of-its-extra[jax]",
        "too-new",
    ]


def test_a_model_and_what_no_registry_has_are_shared_whatever_they_ask_for(tmp_path: Path) -> None:
    installed = [
        _installed(tmp_path, "alphafold3", "jax==8.0"),
        _installed(tmp_path, "weathernext", "jax==8.0"),
        _installed(tmp_path, "from_git", "jax==8.0", direct_url=True),
    ]
    assert requirements("7.1", installed) == ["jaxlib==7.1", "jax==7.1"]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "ERROR: Could not find a version that satisfies x==9 (from versions: 1)\n"
            "ERROR: No matching distribution found for x==9\n",
            "No matching distribution found for x==9",
        ),
        (
            "warning: something else\n"
            "  \u00d7 No solution found when resolving dependencies:\n"
            "  \u2570\u2500\u25b6 Because there is no version of x==9 and you require x==9, we can "
            "conclude that\n"
            "      your requirements are unsatisfiable.\n",
            "No solution found when resolving dependencies: Because there is no version of x==9 "
            "and you require x==9, we can conclude that your requirements are unsatisfiable.",
        ),
        ("", ""),
    ],
    ids=["pip", "uv", "nothing"],
)
def test_the_reason_of_an_installer_is_one_line(log: str, reason: str) -> None:
    assert reason_in(log) == reason
