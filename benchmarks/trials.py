"""Measures the interleaved trials that the models' benchmarks report."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from benchmarks.jaxlibs import chosen_environment

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration
    from perfkit.models.base import Model
    from perfkit.models.workload import Workload
    from perfkit.records.interpreter import Interpreter
    from perfkit.records.schema import Record
    from perfkit.tuning.studies.live import LiveRunner

# perfkit is imported inside the functions that use it. asv imports this module to list the
# benchmarks of a commit; a name that an older commit lacks then fails only the benchmarks that
# need it.

PROCESSES = int(os.environ.get("PERFKIT_BENCH_PROCESSES", "8"))
"""Trials per configuration. Each is a process of its own and gives one sample, because processes of
the same program keep different speeds. With fewer than 8 samples asv's 99 % interval is
infinite."""

PASSES = int(os.environ.get("PERFKIT_BENCH_PASSES", "3"))
"""Timed passes per trial; their median is the sample."""

SIZES = int(os.environ.get("PERFKIT_BENCH_SIZES", "2"))
"""Number of sizes of each model that are measured, the cheapest first."""

STOCK, RECOMMENDED, FLOAT32 = "stock", "recommended", "float32"

CONFIGURATIONS = tuple(
    os.environ.get("PERFKIT_BENCH_CONFIGURATIONS", f"{STOCK},{RECOMMENDED}").split(",")
)
"""Names of the configurations that are measured in turns."""

PRESET_VARIABLE = "PERFKIT_PRESET"
"""Environment variable with the path of another preset to measure as ``recommended``."""

HERE = Path(__file__).parent


class NoProgress:
    """Shows nothing: asv shows the output of a benchmark only if it fails.

    Commits before :class:`perfkit.tuning.studies.progress.SilentProgress` are measured too.
    """

    def trial_started(self, role: str, label: str) -> None:
        """Do nothing."""

    def stage(self, stage: str) -> None:
        """Do nothing."""

    def trial_finished(self, record: Record) -> None:
        """Do nothing."""

    def say(self, sentence: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Subject:
    """A model as the benchmarks measure it.

    Attributes
    ----------
    model
        Name of the model.
    inputs
        Options of the input by size (residues or degrees), the cheapest first.
    preset
        TOML file of the recommended configuration.
    base
        Knobs of every configuration, ``stock`` included.
    """

    model: str
    inputs: Mapping[int, Mapping[str, int | float]]
    preset: Path
    base: Mapping[str, str] = field(default_factory=dict)

    @property
    def cheapest(self) -> int:
        """The smallest size, for measurements that take long."""
        return next(iter(self.inputs))

    @property
    def version(self) -> str:
        """Changes when results may no longer be compared with older ones (asv's ``version``)."""
        settings = tomllib.loads(self.preset_file().read_text(encoding="utf-8"))["knobs"]
        measured = (self.model, sorted(self.inputs.items()), self.base, sorted(settings.items()))
        return hashlib.sha256(repr(measured).encode()).hexdigest()[:16]

    def preset_file(self) -> Path:
        """The preset that the environment names if it is for this model, otherwise the default."""
        named = os.environ.get(PRESET_VARIABLE)
        if named:
            path = Path(os.environ.get("ASV_CONF_DIR", ".")) / named
            if tomllib.loads(path.read_text(encoding="utf-8"))["model"] == self.model:
                return path
        return self.preset

    def get_model(self) -> Model:
        """The model itself."""
        from perfkit.models import get_model

        return get_model(self.model)

    def workload(self, size: int) -> Workload:
        """The workload of ``size``."""
        return self.get_model().workload(self.inputs[size], {})

    def configurations(self) -> dict[str, Configuration]:
        """Stock and recommended."""
        from perfkit.tuning.preset import load_preset

        chosen = load_preset(self.preset_file()).configuration.as_dict()
        return {
            STOCK: self._configuration({}),
            RECOMMENDED: self._configuration(chosen),
        }

    def reference_configuration(self) -> Configuration:
        """Configuration of the stored reference outputs: float32, otherwise stock."""
        return self._configuration(self.get_model().reference_values)

    def _configuration(self, values: Mapping[str, str]) -> Configuration:
        """The configuration of the knobs of every one, of ``values``, and of the chosen jaxlib."""
        from perfkit.knobs.configuration import Catalogue

        model, environment = self.get_model(), chosen_environment()
        settings = {**self.base, **values}
        if environment is None:
            return Catalogue(model.knobs).configuration(settings)
        from perfkit.environments.environment import running_jaxlib
        from perfkit.tuning.versions.jaxlib_blocks import catalogue_of

        catalogue = catalogue_of(model, [environment], running_jaxlib())
        return catalogue.configuration({**settings, "jaxlib": environment.jaxlib})


def make_runner(folder: Path) -> LiveRunner:
    """The runner of the trials, with the Python of the chosen jaxlib."""
    from perfkit.trial.limits import Limits
    from perfkit.tuning.studies.live import LiveRunner

    environment = chosen_environment()
    if environment is None:
        return LiveRunner(folder, Limits(), lambda stage: None)
    from perfkit.tuning.versions.jaxlib_blocks import interpreters_of

    known = interpreters_of([environment])
    return LiveRunner(folder, Limits(), lambda stage: None, interpreters=known)


class ChosenPython(TypedDict, total=False):
    """The keyword of a request that chooses the Python; absent for the running one."""

    interpreter: Interpreter | None


def chosen_python() -> ChosenPython:
    """The Python of the chosen jaxlib, for a request."""
    environment = chosen_environment()
    return {} if environment is None else {"interpreter": environment.interpreter}


def measure_in_turns(subject: Subject, folder: Path) -> dict[tuple[int, str], list[Record]]:
    """Measure the :data:`CONFIGURATIONS` at every size, in turns.

    Each of :data:`PROCESSES` blocks starts all configurations in new processes. From the second
    block on, programs are loaded from a compilation cache.

    Parameters
    ----------
    folder
        Folder for the stores and the answers (:func:`compared_file`).

    Returns
    -------
    dict of (int, str) to list of Record
        One record per process, oldest first, by size and configuration.
    """
    from perfkit.records.roles import Role
    from perfkit.records.store import Store
    from perfkit.trial.request import TrialFiles
    from perfkit.tuning.studies.session import Session

    both = subject.configurations()
    configurations = {name: both[name] for name in CONFIGURATIONS}
    names = {configuration.digest: name for name, configuration in configurations.items()}
    runner = make_runner(folder)
    found: dict[tuple[int, str], list[Record]] = {}
    for size in list(subject.inputs)[:SIZES]:
        store = Store(folder / str(size))
        for _ in range(PROCESSES):
            with Session(runner, NoProgress(), "asv", store.append) as session:
                for name, configuration in configurations.items():
                    files = TrialFiles(
                        save_compared=compared_file(folder, size, name),
                        compile_cache=folder / f"compiled-{size}-{name}",
                    )
                    session.open(subject.workload(size), configuration, Role.SWEEP, files)
                session.rounds(list(configurations.values()), PASSES)
        for record in store.records():
            found.setdefault((size, names[record.configuration.digest]), []).append(record)
    return found


def measure_guarded(subject: Subject, folder: Path) -> list[Record]:
    """Run a guarded float32 trial twice with one compilation cache, which starts empty."""
    from perfkit.trial.launcher import TrialProcess, run_trial
    from perfkit.trial.messages import GUARD_LIFT
    from perfkit.trial.request import TrialFiles, TrialRequest

    folder.mkdir(exist_ok=True)
    size, configuration = subject.cheapest, subject.reference_configuration()
    files = TrialFiles(
        compile_cache=folder / "compile-cache",
        save_compared=compared_file(folder, size, FLOAT32),
    )
    request = TrialRequest(
        subject.workload(size),
        configuration,
        folder,
        files=files,
        guard=GUARD_LIFT,
        **chosen_python(),
    )
    return [run_trial(TrialProcess(request), 0) for _ in range(2)]


def measure_observed(subject: Subject, folder: Path) -> Record:
    """Run a stock trial and take an XLA trace in a second process."""
    from perfkit.observers.registry import make_observers
    from perfkit.trial.launcher import run_trial
    from perfkit.trial.observed import ObservedTrial
    from perfkit.trial.request import TrialFiles, TrialRequest

    workload, stock = subject.workload(subject.cheapest), subject.configurations()[STOCK]
    observers = tuple(make_observers(["xla"]))
    # The second process runs the program that the first has compiled.
    folder.mkdir(exist_ok=True)
    files = TrialFiles(compile_cache=folder / "compile-cache")
    request = TrialRequest(
        workload, stock, folder, files=files, observers=observers, **chosen_python()
    )
    return run_trial(ObservedTrial(request), 1)


def compared_file(folder: Path, size: int, configuration: str) -> Path:
    """File to which a trial writes its compared quantities."""
    return folder / f"{size}-{configuration}.answers"


def ensure_ok(record: Record) -> Record:
    """Return the record of a successful trial.

    Raises
    ------
    RuntimeError
        The trial failed: asv reports the benchmark as failed, and a comparison shows it.
    """
    if record.outcome != "ok":
        raise RuntimeError(f"the trial ended as {record.outcome}: {record.reason}")
    return record
