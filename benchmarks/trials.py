"""Measures what the benchmarks of the models report: interleaved trials, kept as records."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration
    from perfkit.models.base import Model, Workload
    from perfkit.records.schema import Record

# perfkit is imported where it is used: asv lists the benchmarks of a commit by importing this, and
# what an older commit lacks must cost no more than the benchmarks that need it.

PROCESSES = int(os.environ.get("PERFKIT_BENCH_PROCESSES", "8"))
"""Trials of each configuration, each a process of its own and one sample: processes of one program
differ for good. With fewer than 8 asv's 99 % interval is infinite, and no change is sure."""

PASSES = int(os.environ.get("PERFKIT_BENCH_PASSES", "3"))
"""Timed passes of each trial; their median is its sample."""

SIZES = int(os.environ.get("PERFKIT_BENCH_SIZES", "2"))
"""Sizes of each model that are measured, the cheapest first."""

PRESET_VARIABLE = "PERFKIT_PRESET"
"""Names another preset to measure as ``recommended``, for the model that it is for."""

STOCK, RECOMMENDED, FLOAT32 = "stock", "recommended", "float32"

HERE = Path(__file__).parent


class NoProgress:
    """Shows nothing: asv shows a benchmark's output only where it fails.

    Commits before :class:`perfkit.tune.progress.SilentProgress` are measured too.
    """

    def trial_started(self, role: str, label: str) -> None:
        """Nothing to say."""

    def stage(self, stage: str) -> None:
        """Nothing to say."""

    def trial_finished(self, record: Record) -> None:
        """Nothing to say."""

    def say(self, sentence: str) -> None:
        """Nothing to say."""


@dataclass(frozen=True)
class Subject:
    """A model as the benchmarks measure it.

    Parameters
    ----------
    model
        Its name.
    inputs
        A size (residues, degrees) to what the model is told to predict, the cheapest first.
    base
        Knobs of every configuration, ``stock`` included.
    preset
        The recommended configuration, a TOML file.
    """

    model: str
    inputs: Mapping[int, Mapping[str, int | float]]
    preset: Path
    base: Mapping[str, str] = field(default_factory=dict)

    @property
    def cheapest(self) -> int:
        """The size that what is slow to measure is measured at."""
        return next(iter(self.inputs))

    @property
    def version(self) -> str:
        """Changes when results may no longer be compared with older ones (asv's ``version``)."""
        settings = tomllib.loads(self.preset_file().read_text(encoding="utf-8"))["knobs"]
        told = repr((self.model, sorted(self.inputs.items()), self.base, sorted(settings.items())))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def preset_file(self) -> Path:
        """The preset to measure: the one the environment names for this model, or its own."""
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
        """What is predicted at ``size``."""
        return self.get_model().workload(self.inputs[size], {})

    def configurations(self) -> dict[str, Configuration]:
        """Stock and recommended."""
        from perfkit.knobs.configuration import Catalogue
        from perfkit.tune.preset import load_preset

        catalogue = Catalogue(self.get_model().knobs)
        chosen = load_preset(self.preset_file()).configuration.as_dict()
        return {
            STOCK: catalogue.configuration(self.base),
            RECOMMENDED: catalogue.configuration({**self.base, **chosen}),
        }

    def reference_configuration(self) -> Configuration:
        """What the stored reference outputs were made with: float32, otherwise stock."""
        from perfkit.knobs.configuration import Catalogue

        model = self.get_model()
        return Catalogue(model.knobs).configuration({**self.base, **model.reference_values})


def measure_in_turns(subject: Subject, folder: Path) -> dict[tuple[int, str], list[Record]]:
    """Records of stock and recommended at every size, the two of a size passed through in turns.

    Each of :data:`PROCESSES` blocks starts both anew; after the first their programs come from a
    compilation cache.

    Parameters
    ----------
    folder
        For the stores; :func:`compared_file` says where the answers are left.

    Returns
    -------
    dict of (int, str) to list of Record
        By size and configuration, one record for each process, oldest first.
    """
    from perfkit.records.store import Store
    from perfkit.trial.limits import Limits
    from perfkit.trial.request import TrialFiles
    from perfkit.tune.live import LiveRunner
    from perfkit.tune.session import Session

    configurations = subject.configurations()
    runner = LiveRunner(folder, Limits(), lambda stage: None)
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
                    session.open(subject.workload(size), configuration, name, files)
                session.rounds(list(configurations.values()), PASSES)
        for record in store.records():
            found.setdefault((size, record.role), []).append(record)
    return found


def measure_guarded(subject: Subject, folder: Path) -> list[Record]:
    """A guarded float32 trial twice with one compilation cache, which is empty for the first."""
    from perfkit.trial.launcher import TrialProcess, run_trial
    from perfkit.trial.messages import GUARD_LIFT
    from perfkit.trial.request import TrialFiles

    size, configuration = subject.cheapest, subject.reference_configuration()
    files = TrialFiles(
        compile_cache=folder / "compile-cache",
        save_compared=compared_file(folder, size, FLOAT32),
    )
    workload = subject.workload(size)
    return [
        run_trial(TrialProcess(workload, configuration, folder, files=files, guard=GUARD_LIFT), 0)
        for _ in range(2)
    ]


def measure_observed(subject: Subject, folder: Path) -> Record:
    """A stock trial with the XLA trace of a further child."""
    from perfkit.observers.registry import make_observers
    from perfkit.trial.launcher import run_trial
    from perfkit.trial.observed import ObservedTrial

    workload, stock = subject.workload(subject.cheapest), subject.configurations()[STOCK]
    return run_trial(ObservedTrial(workload, stock, folder, observers=make_observers(["xla"])), 1)


def compared_file(folder: Path, size: int, configuration: str) -> Path:
    """Where a trial leaves its compared quantities."""
    return folder / f"{size}-{configuration}.answers"


def ensure_ok(record: Record) -> Record:
    """The record, where its trial went well.

    Raises
    ------
    RuntimeError
        It did not: asv reports the benchmark as failed, and a comparison shows it.
    """
    if record.outcome != "ok":
        raise RuntimeError(f"the trial ended as {record.outcome}: {record.reason}")
    return record
