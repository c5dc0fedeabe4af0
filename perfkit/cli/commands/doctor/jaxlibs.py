"""``perfkit doctor --jaxlib``: which version of jaxlib is right and fastest here?"""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.json_output import print_json
from perfkit.diagnose.jaxlibs import VersionsExamination, examine_versions
from perfkit.environments.environment import parse_versions
from perfkit.models import get_model

ABSENT = "-"
"""Cell of a program that a version did not get to."""


def show_versions(versions: str, model_name: str, out: Path | None, *, as_json: bool) -> int:
    """Examine versions of jaxlib, time a small program under each, and print both side by side.

    Parameters
    ----------
    versions
        The versions, separated by commas.
    model_name
        Name of the model whose smallest input is run.
    out
        Folder for the records; None keeps none.
    as_json
        Whether to print the diagnoses as JSON instead of tables.

    Returns
    -------
    int
        Exit code: 1 if any version gives a wrong answer, else 0.

    Raises
    ------
    UserError
        A version is malformed, does not exist or does not install, or there is no such model.
    """
    wanted = parse_versions(versions)
    model = get_model(model_name)
    console = Console(to_stderr=as_json)
    with StudyProgress(console) as progress:
        examined = examine_versions(
            wanted,
            model,
            folder=out,
            progress=progress,
            announce=lambda workload: console.workload(workload, model),
        )
    if as_json:
        _dump(examined)
    else:
        _show(console, examined)
    return 0 if examined.healthy else 1


def _dump(examined: VersionsExamination) -> None:
    found = {
        "versions": {version: each.as_dict() for version, each in examined.diagnoses.items()},
        "verdict": "" if examined.comparison is None else examined.comparison.sentence,
    }
    print_json(found)


def _show(console: Console, examined: VersionsExamination) -> None:
    diagnoses = examined.diagnoses
    programs = dict.fromkeys(
        answer.name for diagnosis in diagnoses.values() for answer in diagnosis.answers
    )
    states = {
        version: {one.name: "right" if one.right else "WRONG" for one in diagnosis.answers}
        for version, diagnosis in diagnoses.items()
    }
    console.table(
        ("known answer", *diagnoses),
        (
            (name, *(states[version].get(name, ABSENT) for version in diagnoses))
            for name in programs
        ),
    )
    for version, diagnosis in diagnoses.items():
        for answer in diagnosis.wrong:
            console.line(f"jaxlib {version}, {answer.name}: {answer.detail}")
    if examined.comparison is not None:
        console.jaxlibs(examined.comparison)
