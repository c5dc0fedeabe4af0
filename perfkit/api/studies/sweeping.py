"""The full grid of sizes, CPU counts and knob values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.api.knob_values import Values
from perfkit.api.progress import ProgressLike, as_progress, run_interruptibly
from perfkit.api.studies.study_results import SweepResult
from perfkit.api.studies.sweep_arguments import SweepArguments, check_sweep
from perfkit.api.studies.sweep_page import finish_sweep
from perfkit.api.subject import Fidelity, OptionValue, default_folder
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.api.versions.jaxlib_files import comparisons_of, save_known_answers
from perfkit.models import DEFAULT_MODEL
from perfkit.records.store import Store
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.sweep import Sweep
from perfkit.tuning.versions.jaxlibs import JaxlibComparison

if TYPE_CHECKING:
    from perfkit.api.shared.elsewhere import Elsewhere


def sweep(
    *,
    model: str = DEFAULT_MODEL,
    sizes: Values | None = None,
    cpus: Values | None = None,
    knobs: Mapping[str, Values] | None = None,
    configurations: Path | str | None = None,
    jaxlib: str | Sequence[str] | None = None,
    rounds: int = 3,
    observe: Sequence[str] = (),
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    elsewhere: Elsewhere | None = None,
    **options: OptionValue,
) -> SweepResult:
    """Measure every combination of sizes, CPU counts and knob values, as ``perfkit sweep`` does.

    Interrupting a sweep keeps all finished trials; the same call resumes.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes of synthetic inputs in the model's unit, e.g. ``[32, 64]`` or ``"32,64"``; None
        measures the input.
    cpus
        Numbers of CPUs, e.g. ``[1, 2]``.
    knobs
        Values of each knob, e.g. ``{"allocator": ["glibc", "jemalloc"]}``.
    configurations
        TOML file with a list ``[[configuration]]`` of knob values, instead of `cpus` and `knobs`.
    jaxlib
        Versions of jaxlib, e.g. ``"0.11.0,0.12.0.1"``: each combination is measured under each of
        them, in turns. A version is installed once, in an environment of its own.
    rounds
        Number of timed passes of each trial.
    observe
        Names of the observers that look at each trial.
    out
        Folder for records and page; by default below ``perfkit-results``.
    fidelity
        ``low`` (the default) or ``production``.
    time_limit
        Wall time of each trial: seconds, or text such as ``20m``.
    memory_limit
        Resident memory of each trial: bytes, or text such as ``16GB``.
    force
        Whether to run even where memory is predicted not to suffice.
    progress
        Function that receives one line of progress at a time, e.g. ``print``; None is silent.
    elsewhere
        Where workers measure the grid; None measures it in this process, on this machine.
    **options
        The model's own options and fidelity axes, as on the command line.

    Returns
    -------
    SweepResult
        Records, the ranking of each workload, and the path of the page.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, a version of jaxlib does not install, or the
        folder cannot be written.

    Examples
    --------
    >>> swept = perfkit.sweep(model="af3", sizes=[32, 64], cpus=[1, 2])  # doctest: +SKIP
    >>> frame = perfkit.read_records(swept.folder)  # doctest: +SKIP
    """
    given = SweepArguments(
        model=model,
        sizes=sizes,
        cpus=cpus,
        knobs=knobs,
        configurations=configurations,
        jaxlib=jaxlib,
        rounds=rounds,
        observe=tuple(observe),
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        options=options,
    )
    folder = Path(out) if out is not None else default_folder("sweep", model)
    shown = as_progress(progress)
    if elsewhere is not None:
        from perfkit.api.shared.shared_sweep import sweep_elsewhere

        return sweep_elsewhere(given, folder, elsewhere, shown)
    checked = check_sweep(given, shown)
    plan = checked.plan(Store(folder))
    workloads = plan.workloads
    shown.announce(plan.model, workloads, jaxlib_warnings(shown))
    # Each workload has a reference trial in addition to its cells.
    with shown.study(trials=plan.trials + len(workloads)) as study:
        for sentence in checked.impossible:
            study.say(sentence)
        runner = LiveRunner(folder, checked.subject.limits, study.stage, observe, plan.interpreters)
        measuring = Sweep(plan, runner, study)
        interrupted = run_interruptibly(measuring.run, study)
    comparisons: tuple[JaxlibComparison, ...] = ()
    if checked.versions is not None:
        save_known_answers(folder, checked.versions.known)
        comparisons = comparisons_of(measuring.records(), checked.versions.known)
    return finish_sweep(plan, measuring.records(), folder, interrupted, comparisons)
