"""``perfkit doctor --noise``: how much identical programs differ in time on this machine."""

from __future__ import annotations

import math
from pathlib import Path

from rich.table import Table

from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.json_output import print_json
from perfkit.diagnose.noise import NoiseMeasurement, measure_machine_noise, smallest_workload
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.tuning.choice.noise import VISIBLE
from perfkit.units import percent_text, ratio_text, seconds_text


def show_noise(model_name: str, pairs: int, out: Path | None, *, as_json: bool = False) -> int:
    """Measure the noise of this machine and print it.

    Parameters
    ----------
    model_name
        Name of the model whose smallest input is run.
    pairs
        Number of pairs of processes, at least 2.
    out
        Folder for the records; None keeps none.
    as_json
        Whether to print the noise as JSON in addition.

    Raises
    ------
    UserError
        There is no such model, ``pairs`` is too small, or the processes do not run.
    """
    if pairs < 2:
        raise UserError(f"--pairs takes 2 or more, not {pairs}: one pair shows no noise")
    model = get_model(model_name)
    console = Console(to_stderr=as_json)
    console.announce(model, [smallest_workload(model)], jaxlib_warnings(console))
    with StudyProgress(console, trials=2 * pairs) as progress:
        measured = measure_machine_noise(model, pairs=pairs, folder=out, progress=progress)
    _show(console, measured)
    if as_json:
        print_json({"noise": measured.noise, "took_s": measured.took_s})
    return 0


def _show(console: Console, measured: NoiseMeasurement) -> None:
    noise = measured.noise
    console.line(
        f"{noise.pairs} pairs of processes of one program, {noise.passes} passes each in turns, "
        f"{seconds_text(measured.took_s)}:"
    )
    console.line(
        f"the ratio of two passes varies by {percent_text(noise.pass_sigma)}, and that of two "
        f"processes by {percent_text(noise.process_sigma)} more (standard deviations)"
    )
    console.line(f"ratio of the program to itself: {ratio_text(noise.ratio)}")
    table = Table(
        "pairs of processes", f"gain that is found in 4 of 5 cases, {noise.passes} passes each"
    )
    for pairs in VISIBLE:
        gain = noise.visible_gain(pairs, noise.passes) - 1.0
        table.add_row(str(pairs), f"about {percent_text(gain)}")
    console.rich.print(table)
    # Relative standard error of a standard deviation from n - 1 degrees of freedom.
    error = 1 / math.sqrt(2 * max(1, noise.pairs - 1))
    console.line(
        f"with {noise.pairs} pairs, these standard deviations are uncertain by about "
        f"{percent_text(error)}"
    )
