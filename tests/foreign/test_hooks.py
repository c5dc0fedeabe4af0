"""What runs inside a foreign process: import hooks, flags, journals of forks, no dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from perfkit.foreign.adapter import ForeignOptions
from perfkit.foreign.hook import foreign_environment, hook_failures
from perfkit.foreign.jax_setup import flags_missing_from
from perfkit.foreign.plan import MODE_LIFT, PLAN_VARIABLE, ForeignPlan
from perfkit.foreign.report import ForeignReport, read_report
from tests.support.heatlab import write_heatlab
from tests.support.plugin import install

WATCHED = ("heatlab.solver",)


def lay_out(folder: Path) -> tuple[Path, Path]:
    """The folders of the model's package and of the program, which are made if necessary."""
    packages, program = folder / "packages", folder / "program"
    if not packages.exists():
        packages.mkdir()
        install(packages)
        write_heatlab(program)
    return packages, program


def run(
    plan: ForeignPlan, folder: Path, code: str, variables: Mapping[str, str] | None = None
) -> tuple[str, ForeignReport]:
    """Run code under a plan; return what it printed, and the report."""
    paths = map(str, lay_out(folder))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "JAX_PLATFORMS": "cpu",
        **(variables or {}),
    }
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=foreign_environment(environment, plan),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return finished.stdout.strip(), read_report(Path(plan.journals))


def heat_plan(folder: Path, **settings: str) -> ForeignPlan:
    return ForeignPlan(str(folder), adapter="heat_foreign", watched=WATCHED, settings=settings)


def test_a_plan_survives_the_environment() -> None:
    plan = ForeignPlan(
        "/tmp/x", MODE_LIFT, "a.b", ("c", "d"), {"e": "f"}, ForeignOptions(8), {"g": "1"},
        {"allocator": {"h": "i"}}, "/lib/j.so", 2, "/tmp/k", ("l",), {"m": "n"},
    )  # fmt: skip
    assert ForeignPlan.from_json(plan.to_json()) == plan


AFTER_A_FAILURE = """
import os, sys
from pathlib import Path
import heatlab
solver = Path(heatlab.__file__).with_name("solver.py")
text = solver.read_text()
solver.write_text("raise ImportError('not now')")
try:
    import heatlab.solver
except ImportError as error:
    print(error)
solver.write_text(text + "#" * 100)
import heatlab.solver
print(heatlab.solver.nodes(16), heatlab.solver.__spec__.loader.__class__.__name__)
"""


def test_a_module_is_adapted_after_an_import_that_failed(tmp_path: Path) -> None:
    printed, report = run(heat_plan(tmp_path, padded="32"), tmp_path, AFTER_A_FAILURE)
    assert printed.splitlines() == ["not now", "32 SourceFileLoader"]
    assert report.settings["padded"].times == 1


FORKS = """
import os
from heatlab import solver
solver.nodes(16)
child = os.fork()
solver.nodes(24)
if child:
    os.waitpid(child, 0)
else:
    solver.nodes(99)
    os._exit(0)
"""


def test_forks_are_counted(tmp_path: Path) -> None:
    _, report = run(heat_plan(tmp_path, padded="32"), tmp_path, FORKS)
    outcome = report.settings["padded"]
    assert (outcome.times, dict(outcome.reasons)) == (
        3, {"the plate has 99 nodes along an edge": 1},
    )  # fmt: skip
    assert report.inputs == (("plate-16", 16), ("plate-24", 24), ("plate-99", 99))


def test_an_adapter_that_fails_does_not_end_the_program(tmp_path: Path) -> None:
    code = "import heatlab.solver as solver; print(solver.nodes(16))"
    printed, report = run(heat_plan(tmp_path, other="1"), tmp_path, code)
    assert printed == "16"
    (reason,) = report.settings["other"].reasons
    assert reason == "perfkit's adapter failed on heatlab.solver (KeyError: 'padded')"


def test_a_plan_of_another_version_leaves_the_program_alone(tmp_path: Path) -> None:
    environment = foreign_environment(os.environ, ForeignPlan(str(tmp_path)))
    environment[PLAN_VARIABLE] = '{"new": 1}'
    finished = subprocess.run(
        [sys.executable, "-c", "print('fine')"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (finished.stdout, finished.stderr) == ("fine\n", "")
    (sentence,) = hook_failures(tmp_path)
    assert sentence.startswith("perfkit cannot act in process ")


def test_flags_are_looked_up_across_blocks(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    # The name lies across the border of two blocks of 16 MiB.
    library.write_bytes(b"\0" * ((1 << 24) - 5) + b"xla_cpu_there\0")
    names = ["xla_cpu_there", "xla_cpu_the", "xla_cpu_gone"]
    assert flags_missing_from(names, [library]) == {"xla_cpu_the", "xla_cpu_gone"}
    assert flags_missing_from(names, []) == set()


FLAGS = {"xla_cpu_of_the_future": "true", "xla_cpu_prefer_vector_width": "256"}

CHANGES_FLAGS = """
import os, jax, jax.numpy as jnp
print(os.environ["XLA_FLAGS"])
{change}
jnp.sin(1.0).block_until_ready()
"""


@pytest.mark.parametrize("changes", [False, True])
def test_flags_that_jaxlib_lacks_are_never_passed(tmp_path: Path, changes: bool) -> None:
    pytest.importorskip("jax", reason="the foreign program runs it")
    plan = ForeignPlan(str(tmp_path), flags=FLAGS)
    given = {"XLA_FLAGS": " ".join(f"--{name}={value}" for name, value in FLAGS.items())}
    change = "os.environ['XLA_FLAGS'] = ''" if changes else ""
    # jaxlib ends a process with an unknown flag.
    printed, report = run(plan, tmp_path, CHANGES_FLAGS.format(change=change), given)
    assert printed == "--xla_cpu_prefer_vector_width=256"
    (reason,) = report.settings["xla_cpu_of_the_future"].reasons
    assert reason.startswith("jaxlib ")
    assert reason.endswith(" has no such flag")
    known = report.settings["xla_cpu_prefer_vector_width"]
    if changes:
        assert (known.times, list(known.reasons)) == (
            0, ["the program itself set XLA_FLAGS to something else"],
        )  # fmt: skip
    else:
        assert known.times == report.compilations.uncached > 0


OWN_DEPENDENCIES = (
    *("jinja2", "pandas", "platformdirs", "plotly", "psutil", "pydantic", "rapidfuzz"),
    *("rich", "tomli_w"),
)

USES_EVERYTHING = """
import importlib, jax, jax.numpy as jnp
from heatlab import solver
import perfkit.models
near = jnp.asarray([1.0, 1.0000001])
print(jax.jit(lambda a: jnp.sqrt(a - near))(jnp.ones(2)).tolist(), solver.solve(16).shape[0])
"""


def test_nothing_of_perfkits_dependencies_is_needed(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the foreign program runs it")
    plan = ForeignPlan(
        str(tmp_path), MODE_LIFT, "heat_foreign", WATCHED, {"padded": "32"},
        programs=str(tmp_path / "programs"), packages=("jax",),
    )  # fmt: skip
    _, program = lay_out(tmp_path)
    for name in OWN_DEPENDENCIES:
        (program / f"{name}.py").write_text("raise ImportError('not installed here')\n")
    printed, report = run(plan, tmp_path, USES_EVERYTHING)
    assert printed == "[0.0, 0.0] 32"
    assert report.sentences == ()
    assert report.guard["lifted"] == 1
    assert report.settings["padded"].times == 1
    assert report.compilations.misses > 0
    assert report.versions.keys() >= {"python", "jax", "jaxlib"}
