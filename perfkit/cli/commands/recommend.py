"""``perfkit recommend``: the known preset nearest to this machine, without measuring."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from perfkit.api.recommending import recommend
from perfkit.api.subject import RESULTS_FOLDER
from perfkit.cli.console import Console
from perfkit.cli.json_output import print_json
from perfkit.cli.workload_arguments import Parser
from perfkit.models import DEFAULT_MODEL, model_names
from perfkit.presets.advice import Advice
from perfkit.presets.known import shipped_names
from perfkit.tuning.preset import exec_command


def main(arguments: list[str]) -> int:
    """Print the preset and how far it may be trusted; 0."""
    given = _parser().parse_args(arguments)
    default = Path(RESULTS_FOLDER)
    store = given.store if given.store is not None else default if default.is_dir() else None
    advice = recommend(
        model=given.model,
        size=given.size,
        store=store,
        shipped=given.shipped,
        preset_out=given.preset_out,
    )
    if given.json:
        print_json(advice_data(advice))
    else:
        _print(Console(), advice, given.preset_out)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit recommend",
        description="Name the known preset nearest to this machine and size, what it won where it "
        "was measured, and how far that may be trusted here. Nothing is measured.",
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"the model: {', '.join(model_names())}"
    )
    parser.add_argument(
        "--size", required=True, help="size of the input in the model's unit, e.g. tokens"
    )
    parser.add_argument(
        "--from",
        dest="store",
        type=Path,
        metavar="FOLDER",
        help=f"folder with results of earlier tunings (default {RESULTS_FOLDER}, if it exists)",
    )
    parser.add_argument(
        "--shipped",
        metavar="NAME",
        help=f"this shipped preset instead of the nearest one: {', '.join(shipped_names())}",
    )
    parser.add_argument("--preset-out", type=Path, metavar="FILE", help="save the preset")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def advice_data(advice: Advice) -> dict[str, Any]:
    """The advice as plain data, for JSON."""
    found = advice.distance
    return {
        "preset": advice.preset.name,
        "shipped": advice.preset.shipped,
        "model": advice.preset.model,
        "knobs": advice.fitted.configuration.as_dict(),
        "dropped": dict(advice.fitted.dropped),
        "gain": advice.gain,
        "trust": list(advice.trust),
        "nearest_size": None if advice.nearest_size is None else advice.nearest_size.name,
        "distance": {
            "instruction_sets": found.instruction_sets,
            "cpu": found.cpu,
            "cpus_octaves": _finite(found.cpus),
            "size_octaves": _finite(found.size),
            "versions": found.versions,
        },
        "measured": advice.preset.measured.model_dump(mode="json"),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print(console: Console, advice: Advice, saved: Path | None) -> None:
    preset = advice.preset
    records = f" (records: {preset.measured.records})" if preset.measured.records else ""
    console.line(f"nearest: {preset.title}{records}")
    for name, value in advice.fitted.configuration.settings:
        console.line(f"  {name}={value}")
    console.line(advice.gain)
    for sentence in advice.trust:
        console.line(f"  {sentence}")
    if saved is not None:
        console.line(f"preset: {saved} (apply it: {exec_command(saved)} CMD)")
