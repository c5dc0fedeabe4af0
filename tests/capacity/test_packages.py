"""Laws hold for the package that was measured; a fit of another one is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import calibrate
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.packages import ensure_same_package, fit_notices
from perfkit.errors import UserError
from perfkit.packages import Package
from perfkit.records.schema import Record
from tests.support.planted import record, study

COLABFOLD = Package("alphafold3", "alphafold3-colabfold", "3.1.18")
DEEPMIND = Package("alphafold3", "alphafold3", "3.0.4")


def _with(records: list[Record], package: Package, jaxlib: str = "0.12.0.1") -> list[Record]:
    versions = {"jaxlib": jaxlib, package.distribution: package.version}
    return [
        one.model_copy(update={"model_package": package, "versions": versions}) for one in records
    ]


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    return assemble(_with(study(), COLABFOLD))


def test_a_fit_keeps_the_package_of_its_records(fit: ModelFit, tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.json")
    assert ModelFit.load(tmp_path / "fit.json").model_package == COLABFOLD


def test_an_older_fit_shows_its_package_by_its_versions(fit: ModelFit, tmp_path: Path) -> None:
    data = json.loads(fit.model_dump_json())
    del data["package"]
    (tmp_path / "fit.json").write_text(json.dumps(data | {"version": 1}))
    assert ModelFit.load(tmp_path / "fit.json").model_package == COLABFOLD


def test_a_fit_of_another_package_is_refused(fit: ModelFit) -> None:
    with pytest.raises(UserError) as raised:
        ensure_same_package(fit, DEEPMIND)
    assert str(raised.value) == (
        "the fit of af3 was measured with alphafold3-colabfold 3.1.18, but alphafold3 3.0.4 would "
        "run the jobs, whose time and memory differ: repeat 'perfkit plan fit' here"
    )


def test_another_version_of_the_package_is_noted(fit: ModelFit) -> None:
    newer = dataclasses.replace(COLABFOLD, version="3.2.0")
    ensure_same_package(fit, newer)
    assert fit_notices(fit, newer, {"jaxlib": "0.13.0"}) == [
        "the fit of af3 was measured with alphafold3-colabfold 3.1.18 and jaxlib 0.12.0.1, but "
        "here is alphafold3-colabfold 3.2.0 and jaxlib 0.13.0: time and memory may differ"
    ]
    assert fit_notices(fit, COLABFOLD, {"jaxlib": "0.12.0.1"}) == []


def test_where_the_model_is_not_installed_the_plan_says_what_it_holds_for(fit: ModelFit) -> None:
    ensure_same_package(fit, None)
    (notice,) = fit_notices(fit, None, {})
    assert notice.startswith("the fit of af3 holds for alphafold3-colabfold 3.1.18; no package")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (_with([record(64)], DEEPMIND), "packages"),
        (_with([record(64)], COLABFOLD, "0.10.2"), "versions of jaxlib"),
    ],
    ids=["package", "jaxlib"],
)
def test_records_of_several_packages_make_no_fit(other: list[Record], what: str) -> None:
    with pytest.raises(UserError, match=f"the records are of several {what}"):
        assemble([*_with(study(), COLABFOLD), *other])


def test_a_calibration_with_another_package_is_refused(fit: ModelFit) -> None:
    calibration = calibrate(_with([record(32)], DEEPMIND), {}, None)
    with pytest.raises(UserError, match=r"measured with alphafold3 3\.0\.4, the fit of af3 with"):
        calibration.factor(fit)
