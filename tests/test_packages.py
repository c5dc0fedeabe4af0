"""Packages: which are missing, how to install them, and which distribution provides a package."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from perfkit.errors import MissingDependencyError
from perfkit.packages import Package, measured_package, provider_of, require_packages

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Python finds a package that is imported already, wherever the path leads.
    monkeypatch.delitem(sys.modules, "alphafold3", raising=False)
    provider_of.cache_clear()
    yield
    provider_of.cache_clear()


def _install(site: Path, name: str, version: str, *, needs: str = "", record: str = "") -> None:
    """Add the metadata of a distribution to a folder on the path."""
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs.splitlines()]
    (about / "METADATA").write_text("\n".join(lines) + "\n")
    (about / "RECORD").write_text(record)


def _package(site: Path, text: str = "") -> None:
    (site / "alphafold3").mkdir(parents=True)
    (site / "alphafold3" / "__init__.py").write_text(text)


def test_advice_names_distributions_and_every_missing_one() -> None:
    with pytest.raises(MissingDependencyError) as raised:
        require_packages("a test", ("pytest", "haiku_absent", "absent_b", "absent_c"))
    assert str(raised.value) == (
        "a test needs haiku_absent, absent_b and absent_c, which are not installed: "
        "pip install haiku_absent absent_b absent_c"
    )


def test_advice_keeps_the_versions_that_the_installed_model_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path)
    needs = "absent_rdkit==2025.9.4\nabsent-b; python_version < '3'\nabsent-c>=1; extra == 'x'"
    _install(tmp_path, "alphafold3", "3.0.4", needs=needs)
    monkeypatch.syspath_prepend(tmp_path)
    missing = ("absent-rdkit", "absent_b", "absent_c")
    with pytest.raises(MissingDependencyError) as raised:
        require_packages("a test", missing, alongside="alphafold3")
    assert str(raised.value).endswith("pip install absent_rdkit==2025.9.4 absent_b absent_c")


def test_a_distribution_provides_the_package_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path)
    _install(tmp_path, "alphafold3", "3.0.4")
    monkeypatch.syspath_prepend(tmp_path)
    # ColabFold's build is installed too, but its package is not the first one on the path.
    assert provider_of("alphafold3") == Package("alphafold3", "alphafold3", "3.0.4")


def test_of_two_distributions_in_one_folder_the_one_whose_files_are_there_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "version = 3\n")
    _install(tmp_path, "alphafold3", "3.0.4", record="alphafold3/__init__.py,sha256=a,5\n")
    record = "alphafold3/__init__.py,sha256=b,12\n"
    _install(tmp_path, "alphafold3-colabfold", "3.1.18", record=record)
    monkeypatch.syspath_prepend(tmp_path)
    found = provider_of("alphafold3")
    assert found is not None
    assert found.text == "alphafold3-colabfold 3.1.18"


def test_a_checkout_on_the_path_belongs_to_no_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = provider_of("alphafold3")
    assert found == Package("alphafold3")
    assert found.text == "alphafold3 without a distribution"


def test_an_editable_installation_provides_its_source_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path / "checkout" / "src")
    site = tmp_path / "site"
    _install(site, "alphafold3", "3.0.4")
    address = f'{{"url": "file://{tmp_path}/checkout", "dir_info": {{"editable": true}}}}'
    (site / "alphafold3-3.0.4.dist-info" / "direct_url.json").write_text(address)
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(tmp_path / "checkout" / "src")
    assert provider_of("alphafold3") == Package("alphafold3", "alphafold3", "3.0.4")


def test_recorded_versions_show_the_package_unless_they_name_two() -> None:
    own = {"jax": "0.12.0", "alphafold3-colabfold": "3.1.18"}
    assert measured_package("alphafold3", own) == Package(
        "alphafold3", "alphafold3-colabfold", "3.1.18"
    )
    assert measured_package("alphafold3", own | {"alphafold3": "3.0.4"}) is None
    assert measured_package("alphafold3", {"jax": "0.12.0"}) is None


def test_only_the_extra_that_brings_a_model_names_one() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    named = {extra: {Requirement(text).name for text in texts} for extra, texts in extras.items()}
    bringing = {extra for extra, names in named.items() if "alphafold3-colabfold" in names}
    assert bringing == {"af3-colabfold"}
    assert named["af3"] < named["af3-colabfold"]
    # The lab's own package pins these; installing perfkit must not move them.
    assert not named["af3"] & {"alphafold3", "dm-haiku", "jax", "jaxlib", "rdkit", "tokamax"}
