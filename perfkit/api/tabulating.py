"""The capacity table of a model: time, memory and instances by size on each kind of machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perfkit.api.progress import ProgressLike, as_progress
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.subject import default_folder, seconds_of
from perfkit.capacity.laws.calibration import Calibration
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.packages import ensure_same_package, fit_notices, package_here
from perfkit.capacity.laws.runner import LiveFitRunner
from perfkit.capacity.laws.terms import features_of
from perfkit.capacity.queue.jobs import sized_job
from perfkit.capacity.queue.machines import Machine, read_inventory, this_machine
from perfkit.capacity.queue.plan import reason_not_measured_here
from perfkit.capacity.table.compiling import CompiledFit, table_workloads, with_compiled_sizes
from perfkit.capacity.table.files import write_csv, write_json
from perfkit.capacity.table.nodes import common_machines
from perfkit.capacity.table.table import (
    CapacityTable,
    MemorySource,
    make_table,
    memory_source,
    sizes_of,
)
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.records.machine import fingerprint, package_versions
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store, ensure_writable
from perfkit.report.capacity_page import capacity_page
from perfkit.report.capacity_tables import markdown
from perfkit.report.writing import write_report
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialLabels

COMPILE_TIME_S = 10 * 60.0
"""Default wall seconds for compiling programs of the table's sizes."""

NO_SIZE = "none"
"""Value of ``compile_up_to`` that compiles nothing."""


@dataclass(frozen=True)
class TableFiles:
    """Files of a capacity table.

    Attributes
    ----------
    csv, json, markdown, page
        The table in each form.
    """

    csv: Path
    json: Path
    markdown: Path
    page: Path


@dataclass(frozen=True)
class TableResult:
    """A capacity table and its files.

    Attributes
    ----------
    table
        The table.
    files
        The files that were written.
    """

    table: CapacityTable
    files: TableFiles


def capacity_table(
    *,
    fit: Path | str,
    model: str | None = None,
    sizes: str | None = None,
    machines: Path | str | None = None,
    calibration: Path | str | None = None,
    compile_up_to: str | None = None,
    compile_time: str | float = COMPILE_TIME_S,
    out: Path | str | None = None,
    progress: ProgressLike = None,
) -> TableResult:
    """Tabulate production runs by size and machine, as ``perfkit plan table`` does.

    Parameters
    ----------
    fit
        File from ``perfkit plan fit``.
    model
        Name of the model, which must be that of the fit; None for any.
    sizes
        Sizes in the model's unit and with commas; None takes the model's own.
    machines
        TOML inventory of machines; None takes this machine and
        :data:`perfkit.capacity.table.nodes.SHAPES`.
    calibration
        File from ``perfkit calibrate`` of this machine, whose speed then holds for all machines
        without an inventory. Exclusive with `machines`.
    compile_up_to
        Largest size whose program is compiled here for its memory, ``none`` for no size; None
        compiles as far as `compile_time` allows. Sizes whose memory was measured, and those that an
        earlier call compiled into the same folder, are not compiled.
    compile_time
        Time for compiling: seconds, or text such as ``10m``.
    out
        Folder for the table and the records of compilations; by default below ``perfkit-results``.
    progress
        As for :func:`perfkit.api.running.run`.

    Raises
    ------
    UserError
        An argument or a file is bad.
    """
    loaded = ModelFit.load(Path(fit))
    if model is not None and get_model(model).name != loaded.model:
        raise UserError(f"the fit {fit} is of {loaded.model}, not of {model}")
    here = package_here(loaded)
    ensure_same_package(loaded, here)
    wanted = sizes_of(loaded.model, sizes)
    most = _most(loaded.model, compile_up_to)
    limit_s = seconds_of(compile_time)
    notices = fit_notices(loaded, here, package_versions())
    if machines is None:
        kinds, more = _default_machines(loaded, calibration)
        notices += more
    else:
        if calibration is not None:
            raise UserError(f"--calibration is for this machine; write it into {machines}")
        kinds = _inventory(Path(machines))
    # Impossible sizes are reported before minutes are spent on compiling.
    make_table(loaded, wanted, kinds)
    folder = Path(out) if out is not None else default_folder("table", loaded.model)
    ensure_writable(folder)
    if here is not None and most > 0:
        compiled = _compiled(loaded, wanted, most, limit_s, folder, progress)
        loaded, notices = compiled.fit, [*notices, *compiled.notices]
    table = make_table(loaded, wanted, kinds, notices)
    return TableResult(table, _write(folder, table))


def _most(model: str, size: str | None) -> float:
    """The largest size to compile, in the model's unit."""
    if size is None:
        return float("inf")
    return 0.0 if size == NO_SIZE else float(sized_job(model, size, size).size)


def _inventory(path: Path) -> tuple[Machine, ...]:
    inventory = read_inventory(path)
    if inventory.rejects:
        raise UserError(inventory.rejects[0].sentence)
    return inventory.machines


def _default_machines(
    fit: ModelFit, calibration: Path | str | None
) -> tuple[tuple[Machine, ...], list[str]]:
    """This machine if the laws hold here, common machines with cores like its own, and notices."""
    cpu = fit.machine.get("cpu", "unknown")
    common = common_machines()
    if calibration is not None:
        loaded, own = Calibration.load(Path(calibration)), fingerprint().known()
        if loaded.machine.get("cpu") != own.get("cpu"):
            raise UserError(
                f"the calibration {calibration} was made on {loaded.machine.get('cpu')}, this "
                f"machine is {own.get('cpu')}: run 'perfkit calibrate' here, or name it in "
                "--machines"
            )
        machines = tuple(
            replace(one, calibration=loaded, speed=None)
            for one in (*this_machine().machines, *common)
        )
        return machines, [f"times are those of cores of {own.get('cpu')}, calibrated"]
    notices = [f"times are those of cores of {cpu}, on which the laws were measured"]
    reason = reason_not_measured_here([fit], fingerprint().known())
    if reason is not None:
        return common, [*notices, f"this machine is left out: {reason}"]
    return (*this_machine().machines, *common), notices


def _compiled(
    fit: ModelFit,
    sizes: Sequence[str],
    most: float,
    limit_s: float,
    folder: Path,
    progress: ProgressLike,
) -> CompiledFit:
    """The fit with the compiler's counts of sizes beyond those whose memory was measured."""
    configuration = Catalogue(get_model(fit.model).knobs).configuration(fit.settings)

    def features(workload: Workload) -> dict[str, float]:
        return features_of(workload, fit.settings)

    smaller = [size for size in sizes if sized_job(fit.model, size, size).size <= most]
    beyond = [
        workload
        for workload in table_workloads(fit.model, smaller)
        if memory_source(fit, features(workload)) is not MemorySource.MEASURED
    ]
    with as_progress(progress).study(trials=len(beyond)) as study:
        runner = LiveFitRunner(folder, Limits(), study.stage)
        store = Store(folder)
        known = _known(store, configuration)

        def compile_one(workload: Workload, left_s: float) -> Record:
            found = known.get(workload.digest)
            if found is not None:
                return found
            study.trial_started(Role.COMPILED, f"{workload.size}")
            labels = TrialLabels(role=Role.COMPILED)
            record = runner.compiled(workload, configuration, labels, left_s)
            store.append(record)
            study.trial_finished(record)
            if record.outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
            return record

        return with_compiled_sizes(fit, beyond, features, compile_one, limit_s)


def _known(store: Store, configuration: Configuration) -> dict[str, Record]:
    """Digest of a workload to its record, for programs that an earlier call compiled here."""
    jaxlib = package_versions().get("jaxlib")
    return {
        record.workload.digest: record
        for record in store.records()
        if record.role == Role.COMPILED
        and record.outcome is Outcome.OK
        and record.configuration.digest == configuration.digest
        and record.versions.get("jaxlib") == jaxlib
    }


def _write(folder: Path, table: CapacityTable) -> TableFiles:
    files = TableFiles(
        csv=folder / "table.csv",
        json=folder / "table.json",
        markdown=folder / "table.md",
        page=folder / PAGE_NAME,
    )
    write_csv(files.csv, table)
    write_json(files.json, table)
    write_whole(files.markdown, markdown(table), "table")
    write_report(files.page, capacity_page(table))
    return files
