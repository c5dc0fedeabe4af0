"""The calibration of a machine: how fast it is relative to the machine of a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.fitting import ensure_count, fit_configuration, measure_missing
from perfkit.api.progress import ProgressLike, as_progress
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    default_folder,
    make_subject,
    preset_warnings,
)
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.capacity.laws.calibration import (
    Calibration,
    CalibrationTrial,
    calibrate,
    earlier_calibration,
)
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.fit_plan import FitPlan
from perfkit.capacity.laws.observation import PROCESS_ERROR
from perfkit.capacity.laws.packages import ensure_same_package, package_here
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.laws.transfer import part_factors, transferred
from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models import DEFAULT_MODEL
from perfkit.models.workload import Workload
from perfkit.observers.roofline.ceilings import measured_ceilings
from perfkit.records.store import Store
from perfkit.units import percent_text

CALIBRATION_NAME = "calibration.toml"
"""File name of a calibration in its folder."""

ROUNDS = 3
"""Default number of timed passes of each trial. Passes that differ are repeated up to four times as
often."""

BUDGET_S = 210.0
"""Wall seconds after which a calibration starts no trial that it can do without."""


@dataclass(frozen=True)
class CalibrationResult:
    """The measured speed of this machine.

    Attributes
    ----------
    calibration
        Trials and rates of the machine.
    path
        File of the calibration, for inventories.
    trial
        The trial of this call.
    dropped
        Models of an earlier calibration in the same file that was dropped, because it was measured
        on another machine or with other packages.
    factors
        Part to its time here relative to the machine of the fit; empty without a fit.
    pass_s
        Seconds of the trial's pass as the fit, transferred to this machine, predicts them; None
        without a fit.
    """

    calibration: Calibration
    path: Path
    trial: CalibrationTrial
    dropped: tuple[str, ...] = ()
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    pass_s: Range | None = None

    @property
    def accuracy(self) -> str:
        """How accurate the calibration is, in one sentence."""
        error = percent_text(self.trial.running_error or 0.0)
        text = (
            f"accuracy: the median pass is known to within {error}, and processes of one program "
            f"differ by about {percent_text(PROCESS_ERROR)}"
        )
        if self.pass_s is None:
            return text
        low, high = (end / self.pass_s.value - 1 for end in (self.pass_s.low, self.pass_s.high))
        return (
            f"{text}; predictions of the fit for this machine are good to within "
            f"{percent_text(low, signed=True)} to {percent_text(high, signed=True)} near the size "
            "of the trial"
        )


def calibrate_machine(
    *,
    model: str | None = None,
    fit: Path | str | None = None,
    rounds: int = ROUNDS,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> CalibrationResult:
    """Measure how fast this machine is, as ``perfkit calibrate`` does.

    Measures a matrix product and a copy, and runs a small real trial on all CPUs, on one CPU, and
    in several processes at once, then a larger one. It takes less than four minutes on two CPUs:
    where the trial on all CPUs is slow, some of the others are left out, and the laws of the fit
    take their place. The same call resumes an interrupted measurement.

    Parameters
    ----------
    model
        Name of the model; by default that of the fit, or AlphaFold 3.
    fit
        Fit to calibrate for: its configuration is measured. Exclusive with `knobs` and `preset`.
    rounds
        Number of timed passes of each trial.
    knobs, preset
        Configuration of the trials, as for :func:`perfkit.api.fitting.fit_model`.
    out
        Folder for records and calibration; by default below ``perfkit-results``.
    fidelity, time_limit, memory_limit, force, progress, **options
        As for :func:`perfkit.api.running.run`.

    Raises
    ------
    UserError
        An argument is impossible, the fit is of another model or package, or the trial failed.
    KeyboardInterrupt
        The user interrupted the measurement; all finished trials are kept.
    """
    ensure_count("rounds", rounds)
    loaded = None if fit is None else _fit_for(Path(fit), model, bool(knobs) or preset is not None)
    subject = make_subject(
        model or (DEFAULT_MODEL if loaded is None else loaded.model),
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        plans=True,
    )
    workload = subject.workload
    costs = subject.model.costs
    low = subject.model.part_fidelity()
    further: tuple[Workload, ...] = ()
    if not set(costs.input_options) & set(workload.source):
        if costs.sizes.calibration_further:
            larger = subject.model.resized(workload, costs.sizes.calibration_further)
            further = (larger.with_fidelity(**low),)
        workload = subject.model.resized(workload, costs.sizes.calibration)
    workload = workload.with_fidelity(**low)
    if loaded is None:
        configuration = fit_configuration(subject, knobs or {}, preset)
    else:
        configuration = subject.configuration(loaded.settings)
    subject.refuse_without_memory(configuration, workload)
    folder = Path(out) if out is not None else default_folder("calibration")
    measured = FitPlan(
        model=subject.model,
        workloads=(workload,),
        held_out=(),
        compiled=(),
        configuration=configuration,
        cpu_counts=(1,) if len(allowed_cpus()) > 1 else (),
        store=Store(folder),
        rounds=rounds,
        cached=False,
        budget_s=BUDGET_S,
        reuse_compilation=True,
        further=further,
    )
    # A file that cannot be used is reported before minutes are spent.
    path = folder / CALIBRATION_NAME
    before = earlier_calibration(path)
    shown = as_progress(progress)
    warnings = (*preset_warnings(preset), *jaxlib_warnings(shown, configuration))
    shown.announce(subject.model, [workload], warnings)
    ceilings = dataclasses.asdict(measured_ceilings())
    records = measure_missing(measured, subject, folder, progress)
    digests = {one.digest for one in measured.workloads + measured.further}
    own = [one for one in records if one.workload.digest in digests]
    made = calibrate(own, ceilings, before)
    made.save(path)
    dropped: tuple[str, ...] = ()
    if before is not None and not made.measured_like(before):
        dropped = tuple(sorted({trial.model for trial in before.trials}))
    result = CalibrationResult(made, path, made.trials[-1], dropped)
    return result if loaded is None else _compared(result, loaded)


def _fit_for(path: Path, model: str | None, configured: bool) -> ModelFit:
    """The fit to calibrate for.

    Raises
    ------
    UserError
        The fit cannot be used here, or other arguments contradict it.
    """
    if configured:
        raise UserError(
            "--fit calibrates for the configuration of the fit: leave out --knob and --preset"
        )
    loaded = ModelFit.load(path)
    if model is not None and model != loaded.model:
        raise UserError(f"the fit {path} is of {loaded.model}, not of {model}")
    ensure_same_package(loaded, package_here(loaded))
    return loaded


def _compared(result: CalibrationResult, fit: ModelFit) -> CalibrationResult:
    """Add how this machine compares with that of the fit."""
    trial = result.trial
    here = transferred(fit, result.calibration)
    seconds = here.seconds(trial.features, trial.counts)
    parts = {name: value for name, value in seconds.items() if name in (trial.part_s or {})}
    factors = part_factors(fit, trial, result.calibration.factor(fit))
    return dataclasses.replace(
        result,
        factors={name: factors[name] for name in parts},
        pass_s=here.time_range(trial.features, parts),
    )
