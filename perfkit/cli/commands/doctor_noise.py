"""``perfkit doctor --noise``: which difference can be seen on this machine, with how many pairs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from perfkit.cli.console import Console, StudyProgress
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.tune.live import LiveRunner
from perfkit.tune.noise import VISIBLE, Noise, NoisePlan, measure_noise, noise_of
from perfkit.units import percent_text, ratio_text, seconds_text

PASSES = 6
"""Timed passes of each process."""


def show_noise(model_name: str, pairs: int, out: Path | None) -> int:
    """Measure identical programs against each other and print what differs.

    Parameters
    ----------
    model_name
        The model whose smallest input is run.
    pairs
        Pairs of processes, at least 2.
    out
        Folder for the records; None leaves none.

    Raises
    ------
    UserError
        There is no such model, too few pairs are asked for, or the processes do not run.
    """
    if pairs < 2:
        raise UserError(f"--pairs takes 2 or more, not {pairs}: one pair shows no noise")
    model = get_model(model_name)
    workload = model.workload(model.small_options, {})
    console = Console()
    console.workload(workload, model)
    begin_s = time.monotonic()
    with TemporaryDirectory(prefix="perfkit-noise-") as scratch:
        folder = out or Path(scratch)
        plan = NoisePlan(Catalogue(model.knobs), workload, Store(folder), pairs, PASSES)
        with StudyProgress(console, trials=2 * pairs) as progress:
            runner = LiveRunner(folder, Limits(), progress.stage)
            records = measure_noise(plan, runner, progress)
        found = noise_of(records)
    if found is None:
        failed = next((one for one in records if one.reason), None)
        reason = f" ({failed.reason})" if failed is not None else ""
        raise UserError(f"{workload.name} did not run often enough to show any noise{reason}")
    _show(console, found, time.monotonic() - begin_s)
    return 0


def _show(console: Console, noise: Noise, took_s: float) -> None:
    console.line(
        f"{noise.pairs} pairs of processes of one program, {noise.passes} passes each in turns, "
        f"{seconds_text(took_s)}:"
    )
    console.line(
        f"the ratio of two passes varies by {percent_text(noise.pass_sigma)}, and that of two "
        f"processes by {percent_text(noise.process_sigma)} more (standard deviations)"
    )
    console.line(f"ratio of the program to itself: {ratio_text(noise.ratio)}")
    table = Table("pairs of processes", f"gain that is found in 4 of 5 cases, {PASSES} passes each")
    for pairs in VISIBLE:
        table.add_row(str(pairs), f"about {percent_text(noise.visible_gain(pairs, PASSES) - 1.0)}")
    console.rich.print(table)
    known = 1 / math.sqrt(2 * max(1, noise.pairs - 1))
    console.line(
        f"from {noise.pairs} pairs these standard deviations are known to about "
        f"{percent_text(known)}"
    )
