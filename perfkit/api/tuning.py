"""The tuning of one input: the search, the preset and the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from perfkit.api.progress import ProgressLike, as_progress
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.study_results import TuneResult
from perfkit.api.subject import Fidelity, OptionValue, default_folder, make_subject, seconds_of
from perfkit.knobs.configuration import STOCK
from perfkit.models import DEFAULT_MODEL
from perfkit.observers.registry import make_observers
from perfkit.report.search_section import SearchNotes
from perfkit.report.study_page import study_page
from perfkit.report.writing import write_report
from perfkit.tuning.goals.goal import DEFAULT_OBJECTIVE, make_goal
from perfkit.tuning.run import DEFAULT_BUDGET, tune_workload
from perfkit.tuning.search.strategy import Strategy


def tune(
    *,
    model: str = DEFAULT_MODEL,
    budget: str | float = DEFAULT_BUDGET,
    knobs: Sequence[str] | None = None,
    strategy: Strategy | None = None,
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
        Names of the knobs to search; None searches all that are worth trying on this machine.
    strategy
        Decides what is measured next; coordinate ascent by default.
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
        An argument is impossible, the input is bad, memory does not suffice for the reference, or
        the folder cannot be written.

    Examples
    --------
    >>> tuned = perfkit.tune(model="af3", size=76, budget="15m")  # doctest: +SKIP
    >>> tuned.recommendation.best.settings  # doctest: +SKIP
    {'allocator': 'jemalloc-hugepages', 'bucket': 'exact'}
    """
    budget_s = seconds_of(budget)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
    )
    make_observers(observe)
    goal = make_goal(
        objective,
        slack=slack,
        memory_exchange=memory_exchange,
        price=price,
        agreement=agreement,
        preload=preload,
        memory_bytes=subject.limits.memory_bytes,
        pareto=pareto,
    )
    reference = subject.catalogue.configuration(subject.model.reference_values)
    for configuration in (STOCK, reference):
        subject.refuse_without_memory(configuration)
    names = ("tune", subject.model.name, subject.workload.name)
    folder = Path(out) if out is not None else default_folder(*names)
    shown = as_progress(progress)
    shown.announce(subject.model, [subject.workload])
    with shown.study(budget_s=budget_s) as study:
        found = tune_workload(
            subject.workload,
            folder,
            budget_s=budget_s,
            knobs=knobs,
            progress=study,
            limits=subject.limits,
            observers=observe,
            extrapolates=extrapolate,
            model=subject.model,
            strategy=strategy,
            goal=goal,
        )
    workload, page = subject.workload, folder / PAGE_NAME
    title = f"{workload.name} ({workload.size} {subject.model.size_unit}) with {subject.model.name}"
    document = study_page(
        found.records,
        found.recommendation,
        found.extrapolations,
        title,
        found.preset,
        search=SearchNotes(not_tried=found.unfinished),
    )
    write_report(page, document)
    own = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return TuneResult(**own, page=page)
