"""The tuning of one input: the search, the preset and the page."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.api.knob_values import Values
from perfkit.api.progress import ProgressLike, as_progress
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.studies.study_results import TuneResult
from perfkit.api.studies.tuning_setup import tuning_setup
from perfkit.api.subject import Fidelity, OptionValue, default_folder
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.api.versions.jaxlibs import SHARE_OF_BUDGET, compare_tuned, make_versions
from perfkit.environments.environment import running_jaxlib
from perfkit.knobs.allocators import missing_allocators
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.host import this_host
from perfkit.knobs.installed_flags import lacking_flags, lacking_sentence
from perfkit.models import DEFAULT_MODEL
from perfkit.presets.differences import preset_differences
from perfkit.presets.starting import StartingPoint
from perfkit.report.study.page import study_page
from perfkit.report.study.search_section import SearchNotes
from perfkit.report.writing import write_report
from perfkit.tuning.choice.notes import StoredGoal, StudyNotes, write_notes
from perfkit.tuning.goals.goal import DEFAULT_OBJECTIVE
from perfkit.tuning.search.strategy import Strategy
from perfkit.tuning.space import searched_flags
from perfkit.tuning.studies.run import DEFAULT_BUDGET, tune_workload
from perfkit.units import count_text


def tune(
    *,
    model: str = DEFAULT_MODEL,
    budget: str | float = DEFAULT_BUDGET,
    knobs: Sequence[str] | Mapping[str, Values | None] | None = None,
    space: Path | str | None = None,
    widen: bool = False,
    strategy: Strategy | str | None = None,
    extrapolate: bool = True,
    observe: Sequence[str] = (),
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    objective: str = DEFAULT_OBJECTIVE,
    slack: str | float | None = None,
    memory_exchange: str | float | None = None,
    price: str | float | None = None,
    agreement: str | None = None,
    preload: bool = True,
    pareto: bool = False,
    cold: bool = False,
    jaxlib: str | Sequence[str] | None = None,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> TuneResult:
    """Find the best configuration that gives the same answer, as ``perfkit tune`` does.

    The search screens candidates against the incumbent, then confirms the best in fresh
    processes. Interrupting it keeps all finished measurements; the same call resumes.

    Parameters
    ----------
    model
        Name of the model.
    budget
        Wall time of the search: seconds, or text such as ``15m`` or ``2h``.
    knobs
        The knobs to search: names, or values by name, e.g. ``{"allocator": ["glibc",
        "jemalloc"], "bucket": None}``, where None stands for the values that are worth trying.
        The default of a knob is always part of the search. Without `knobs` and `space`, all knobs
        that are worth trying on this machine are searched.
    space
        TOML file with a table ``[knobs]`` that lists the values of each knob to search; `knobs`
        replaces its entries.
    widen
        Whether to search the knobs that are worth trying in addition to `knobs` and `space`.
    strategy
        Decides what is measured next: a strategy, or the name of one of
        :data:`perfkit.tuning.search.registry.STRATEGIES`; coordinate ascent by default.
    extrapolate
        Whether to measure the parts of the model for the time of a production prediction.
    observe
        Names of the observers that look at each trial.
    out
        Folder for records, preset and page; by default below ``perfkit-results``.
    fidelity
        Fidelity at which configurations are compared: ``low`` (the default) or ``production``.
    time_limit
        Wall time of each trial: seconds, or text; None takes twice the budget, and at least
        half an hour.
    memory_limit
        Resident memory of each trial: bytes, or text such as ``16GB``. No configuration that
        exceeds it is recommended.
    force
        Whether to run even where memory is predicted not to suffice.
    objective, slack, memory_exchange, price, agreement, preload, pareto
        What is recommended, see :func:`perfkit.tuning.goals.goal.make_goal`.
    cold
        Whether to search without the configurations that won elsewhere. Otherwise those of the
        shipped presets and of earlier tunings below ``perfkit-results`` are tried first.
    jaxlib
        Versions of jaxlib, e.g. ``"0.11.0,0.12.0.1"``. The search runs with the installed one;
        stock and the recommended configuration are then measured under each version, in turns and
        in fresh processes, in the last part of the budget.
    progress
        Function that receives one line of progress at a time, e.g. ``print``; None is silent.
    **options
        The model's own options and fidelity axes, as on the command line: ``size=76``.

    Returns
    -------
    TuneResult
        Records, recommendation, predicted production times, and the paths of preset and page.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, a package of the strategy is missing, a version
        of jaxlib does not install, memory does not suffice for the reference, or the folder cannot
        be written.

    Examples
    --------
    >>> tuned = perfkit.tune(model="af3", size=76, budget="15m")  # doctest: +SKIP
    >>> tuned.recommendation.best.settings  # doctest: +SKIP
    {'allocator': 'jemalloc-hugepages', 'bucket': 'exact'}
    """
    setup = tuning_setup(
        model=model,
        budget=budget,
        knobs=knobs,
        space=space,
        widen=widen,
        strategy=strategy,
        observe=observe,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        objective=objective,
        slack=slack,
        memory_exchange=memory_exchange,
        price=price,
        agreement=agreement,
        preload=preload,
        pareto=pareto,
        cold=cold,
        **options,
    )
    subject, budget_s, starts = setup.subject, setup.budget_s, setup.starts
    names = ("tune", subject.model.name, subject.workload.name)
    folder = Path(out) if out is not None else default_folder(*names)
    shown = as_progress(progress)
    warnings = (*start_warnings(starts), *jaxlib_warnings(shown))
    shown.announce(subject.model, [subject.workload], warnings)
    versions = None if jaxlib is None else make_versions(jaxlib, shown)
    begin_s = time.monotonic()
    search_s = budget_s if versions is None else budget_s * (1 - SHARE_OF_BUDGET)
    missing = (*missing_allocators(this_host()), *_lacking(subject.catalogue))
    with shown.study(budget_s=search_s) as study:
        for sentence in missing:
            study.say(sentence)
        found = tune_workload(
            subject.workload,
            folder,
            budget_s=search_s,
            space=setup.space,
            progress=study,
            limits=subject.limits,
            observers=observe,
            extrapolates=extrapolate,
            model=subject.model,
            strategy=setup.strategy,
            goal=setup.goal,
            starts=[start.configuration for start in starts],
        )
    study_digest = found.records[-1].study if found.records else None
    if study_digest is not None:
        notes = StudyNotes(
            goal=StoredGoal.of(setup.goal), not_tried=found.unfinished, not_installed=missing
        )
        write_notes(folder, study_digest, notes)
    comparison = None
    if versions is not None and not found.interrupted:
        best = found.recommendation.best
        settings = [{}, *([best.settings] if best is not None and best.settings else [])]
        left_s = budget_s - (time.monotonic() - begin_s)
        comparison = compare_tuned(versions, subject, settings, folder, left_s, shown)
    workload, page = subject.workload, folder / PAGE_NAME
    title = f"{workload.name} ({workload.size} {subject.model.size_unit}) with {subject.model.name}"
    document = study_page(
        found.records,
        found.recommendation,
        found.extrapolations,
        title,
        found.preset,
        search=SearchNotes(not_tried=found.unfinished, not_installed=missing),
        jaxlibs=() if comparison is None else (comparison,),
    )
    write_report(page, document)
    own = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return TuneResult(**own, page=page, jaxlibs=comparison)


def _lacking(catalogue: Catalogue) -> tuple[str, ...]:
    """A sentence on flags that are worth trying elsewhere, and that this jaxlib does not have."""
    flags = lacking_flags(searched_flags(catalogue))
    if not flags:
        return ()
    return (f"{lacking_sentence(flags, running_jaxlib())}: not tried",)


def start_warnings(starts: Sequence[StartingPoint]) -> list[str]:
    """One sentence on the starting points that were measured in another environment, if any."""
    found = [sentence for start in starts for sentence in preset_differences(start.preset)]
    if not found:
        return []
    more = count_text(len(found) - 1, "further starting point")
    return [f"a starting point of the search: {found[0]}{f' (and {more})' if found[1:] else ''}"]
