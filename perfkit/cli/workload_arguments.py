"""What the subcommands that measure have in common: model, input, fidelity, knobs, limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import DEFAULT_MODEL, get_model, model_names
from perfkit.models.base import Model, Workload
from perfkit.observers.registry import OBSERVERS, make_observers
from perfkit.printable import printable
from perfkit.records.machine import available_memory_bytes
from perfkit.trial.limits import Limits
from perfkit.units import bytes_text, cut, parse_duration, parse_size

LOW = "low"
PRODUCTION = "production"


class Parser(argparse.ArgumentParser):
    """Reports a bad command line as a :class:`UserError`: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise UserError(f"{cut(message, 300)} (see '{self.prog} --help')")


@dataclass(frozen=True)
class Request:
    """A parsed command line.

    Parameters
    ----------
    model, catalogue, workload
        What is measured, and the knobs that may be set.
    arguments
        Everything else.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    arguments: argparse.Namespace

    def limits(self) -> Limits:
        """Time and memory limits of each trial."""
        time, memory = self.arguments.time_limit, self.arguments.memory_limit
        return Limits(
            time_s=None if time is None else parse_duration(time),
            memory_bytes=None if memory is None else parse_size(memory),
        )

    def refuse_without_memory(self, configuration: Configuration, workload: Workload) -> None:
        """Refuse what this machine has too little memory for, unless forced.

        Raises
        ------
        UserError
            The predicted peak is above the limit or above what is free.
        """
        self.model.check(workload, configuration)
        needed = self.model.memory_estimate_bytes(workload, configuration)
        allowed = self.limits().memory_bytes or available_memory_bytes()
        if needed > allowed and not self.arguments.force:
            raise UserError(
                f"{workload.name} ({workload.size} {self.model.size_unit}) needs about "
                f"{bytes_text(needed)} of memory in configuration {configuration.label!r}, "
                f"{bytes_text(allowed)} are to be had; --force tries all the same"
            )


def parse_request(
    command: str,
    summary: str,
    arguments: Sequence[str],
    add: Callable[[Parser], None],
    *,
    predicts: bool = False,
    plans: bool = False,
) -> Request:
    """Parse the command line of a subcommand that measures a model.

    Parameters
    ----------
    command, summary
        For the help text.
    arguments
        What follows the subcommand.
    add
        Adds the subcommand's own arguments.
    predicts
        Whether the subcommand leaves a prediction: with real weights its fidelity is then that of
        production unless another is asked for.
    plans
        Whether plans are made of what the subcommand measures.

    Raises
    ------
    UserError
        The command line or the input is bad.
    """
    first = Parser(prog=f"perfkit {command}", add_help=False)
    first.add_argument("--model", default=DEFAULT_MODEL)
    model = get_model(first.parse_known_args(list(arguments))[0].model)
    parser = Parser(prog=f"perfkit {command}", description=summary)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"what to predict with: {', '.join(model_names())}",
    )
    subject = parser.add_argument_group("input")
    for option in model.options:
        if option.kind is bool:
            subject.add_argument(
                f"--{option.name}", help=option.summary, action="store_const", const=True
            )
        else:
            subject.add_argument(f"--{option.name}", help=option.summary, type=option.kind)
    fidelity = parser.add_argument_group("fidelity: how much of the prediction runs")
    fidelity.add_argument(
        "--fidelity",
        choices=(LOW, PRODUCTION),
        help="low: a cheap measurement; production: the model's own defaults (default: "
        f"{f'production with --{model.weights_option}, else low' if predicts else LOW})",
    )
    for axis in model.fidelity_axes:
        fidelity.add_argument(
            f"--{axis.name}",
            type=int,
            help=f"{axis.summary} (low {axis.low}, production {axis.production})",
        )
    limits = parser.add_argument_group("limits of each trial")
    limits.add_argument("--time-limit", help="e.g. 20m; a trial over it ends as 'timeout'")
    limits.add_argument("--memory-limit", help="e.g. 16GB; a trial over it is ended")
    limits.add_argument(
        "--force", action="store_true", help="run even where memory is predicted not to suffice"
    )
    add(parser)
    parsed = parser.parse_args(list(arguments))
    return Request(model, Catalogue(model.knobs), _workload(model, parsed, predicts, plans), parsed)


def _workload(model: Model, parsed: argparse.Namespace, predicts: bool, plans: bool) -> Workload:
    given = {
        option.name: getattr(parsed, option.name.replace("-", "_")) for option in model.options
    }
    options = {name: value for name, value in given.items() if value is not None}
    if plans:
        model.costs.refuse_unplanned(options)
    default = PRODUCTION if predicts and model.weights_option in options else LOW
    workload = model.workload(options, _fidelity(model, parsed, parsed.fidelity or default))
    _refuse_broken_text(workload)
    return workload


def _refuse_broken_text(workload: Workload) -> None:
    """Names and paths go into records, which hold whole characters only.

    File names in another encoding than UTF-8, and JSON that escapes half of a surrogate pair, give
    text that could not be recorded once everything is computed.
    """
    for text in (workload.name, *map(str, workload.source.values())):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"the name '{printable(text)}' holds broken characters (it is no valid Unicode); "
                "rename the input"
            ) from None


def _fidelity(model: Model, parsed: argparse.Namespace, fidelity: str) -> dict[str, int]:
    chosen = {}
    for axis in model.fidelity_axes:
        given = getattr(parsed, axis.name)
        if given is not None and given < axis.minimum:
            raise UserError(f"--{axis.name} takes {axis.minimum} or more, not {given}")
        if given is not None:
            chosen[axis.name] = given
        elif fidelity == PRODUCTION:
            chosen[axis.name] = axis.production
    return chosen


def default_folder(*words: str) -> Path:
    """Where results go when the user names no folder: below the current one."""
    return Path("perfkit-results") / file_name("-".join(words))


def add_knob_argument(parser: Parser) -> None:
    """Add ``--knob NAME=VALUE`` and ``--preset``."""
    group = parser.add_argument_group("configuration: how it runs")
    group.add_argument(
        "--knob", action="append", default=[], metavar="NAME=VALUE", help="set a knob; repeatable"
    )
    group.add_argument("--preset", type=Path, help="start from a saved preset")


def add_observe_argument(parser: Parser, default: Sequence[str] = ()) -> None:
    """Add ``--observe NAME``.

    Parameters
    ----------
    parser
        Of the subcommand.
    default
        Who observes where nobody is named.
    """
    told = "all" if default else "none"
    parser.add_argument(
        "--observe",
        action="append",
        metavar="NAME",
        help=f"what to look at each trial with: {', '.join(OBSERVERS)}; repeatable "
        f"(default {told})",
    )
    parser.set_defaults(observers=tuple(default))


def observers_of(request: Request) -> tuple[str, ...]:
    """The names given with ``--observe``, or the default.

    Raises
    ------
    UserError
        There is no such observer.
    """
    given = request.arguments.observe
    names = request.arguments.observers if given is None else tuple(given)
    make_observers(names)
    return names


def configuration_of(request: Request) -> Configuration:
    """The configuration of ``--preset`` and ``--knob``, the latter on top.

    Raises
    ------
    UserError
        A knob or value is impossible, or the preset is for another model.
    """
    from perfkit.tune.preset import load_preset

    values: dict[str, str] = {}
    if request.arguments.preset is not None:
        preset = load_preset(request.arguments.preset)
        if preset.model != request.model.name:
            raise UserError(
                f"the preset {request.arguments.preset} is for model {preset.model!r}, "
                f"not {request.model.name!r}"
            )
        values = preset.configuration.as_dict()
    for text in request.arguments.knob:
        name, value = request.catalogue.parse_setting(text)
        values[name] = value
    configuration = request.catalogue.configuration(values)
    configuration.ensure_possible()
    return configuration
