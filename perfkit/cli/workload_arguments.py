"""Arguments of the subcommands that measure a model: input, fidelity, limits and knobs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from perfkit.api.subject import FIDELITIES, Subject, make_subject
from perfkit.cli.completion import complete, offered
from perfkit.cli.examples import example_text
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue, Configuration, parse_values
from perfkit.models import DEFAULT_MODEL, get_model, model_names
from perfkit.models.base import Model, Option
from perfkit.models.workload import Workload
from perfkit.observers.registry import OBSERVERS
from perfkit.trial.limits import Limits
from perfkit.units import cut


class HelpFormatter(argparse.HelpFormatter):
    """Wraps a description, and leaves lists and examples, which have several lines, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Shows examples in its help, and completes words for the shell.

    It reports a bad command line as a :class:`UserError`: one sentence, exit code 2.

    Parameters
    ----------
    prog
        Name of the program and of the subcommand.
    epilog
        Text of several lines in front of the examples of the subcommand.
    **options
        Other options of :class:`argparse.ArgumentParser`.
    """

    def __init__(self, prog: str, epilog: str = "", **options: Any) -> None:
        shown = "\n\n".join(filter(None, (epilog, example_text(prog))))
        super().__init__(prog, epilog=shown, formatter_class=HelpFormatter, **options)

    def parse_args(  # type: ignore[override]  # no caller passes a namespace of its own
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse a command line; if the shell asks for completions, print those and exit."""
        complete(self, words=len(self.prog.split()))
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the error; argparse calls this."""
        raise UserError(f"{cut(message, 300)} (see '{self.prog} --help')")


@dataclass(frozen=True)
class CommandLine:
    """A parsed command line of a subcommand that measures a model.

    Attributes
    ----------
    subject
        Keyword arguments on model, input, fidelity and limits, as the functions of
        :mod:`perfkit.api` take them.
    arguments
        All parsed arguments.
    """

    subject: dict[str, Any]
    arguments: argparse.Namespace


@dataclass(frozen=True)
class Request:
    """A parsed command line whose input has been checked and made into a workload.

    Attributes
    ----------
    subject
        Model, workload and limits.
    arguments
        All parsed arguments.
    """

    subject: Subject
    arguments: argparse.Namespace

    @property
    def model(self) -> Model:
        """The model that is measured."""
        return self.subject.model

    @property
    def catalogue(self) -> Catalogue:
        """The knobs that may be set for the model."""
        return self.subject.catalogue

    @property
    def workload(self) -> Workload:
        """Model, input and fidelity."""
        return self.subject.workload

    def limits(self) -> Limits:
        """Time and memory limits of each trial."""
        return self.subject.limits

    def refuse_without_memory(self, configuration: Configuration, workload: Workload) -> None:
        """Refuse what this machine has too little memory for, unless forced.

        Raises
        ------
        UserError
            The predicted peak is above the limit or above what is free.
        """
        self.subject.refuse_without_memory(configuration, workload)


def parse_command_line(
    command: str,
    summary: str,
    arguments: Sequence[str],
    add: Callable[[Parser], None],
    *,
    predicts: bool = False,
) -> CommandLine:
    """Parse the command line of a subcommand that measures a model.

    Parameters
    ----------
    command
        Name of the subcommand, for the help text.
    summary
        What the subcommand does, for the help text.
    arguments
        Command line after the subcommand.
    add
        Adds the subcommand's own arguments.
    predicts
        Whether the subcommand writes a prediction, which changes the default fidelity.

    Raises
    ------
    UserError
        The command line is malformed, or there is no such model.
    """
    first = Parser(prog=f"perfkit {command}", add_help=False)
    first.add_argument("--model", default=DEFAULT_MODEL)
    model = get_model(first.parse_known_args(list(arguments))[0].model)
    parser = Parser(prog=f"perfkit {command}", description=summary)
    model_argument = parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"model that predicts: {', '.join(model_names())}"
    )
    offered(model_argument, model_names())
    _add_input_arguments(parser, model, predicts)
    _add_fidelity_arguments(parser, model, predicts)
    limits = parser.add_argument_group("limits of each trial")
    limits.add_argument("--time-limit", help="e.g. 20m; a trial that exceeds it ends as 'timeout'")
    limits.add_argument("--memory-limit", help="e.g. 16GB; a trial that exceeds it is ended")
    limits.add_argument(
        "--force", action="store_true", help="run even if memory is predicted not to suffice"
    )
    add(parser)
    parsed = parser.parse_args(list(arguments))
    names = [*(option.name for option in model.options), *(a.name for a in model.fidelity_axes)]
    own = {name: getattr(parsed, name.replace("-", "_"), None) for name in names}
    subject = {
        "model": parsed.model,
        "fidelity": parsed.fidelity,
        "time_limit": parsed.time_limit,
        "memory_limit": parsed.memory_limit,
        "force": parsed.force,
        **{name.replace("-", "_"): value for name, value in own.items() if value is not None},
    }
    return CommandLine(subject, parsed)


def parse_request(
    command: str,
    summary: str,
    arguments: Sequence[str],
    add: Callable[[Parser], None],
    *,
    predicts: bool = False,
) -> Request:
    """Parse a command line and make its workload.

    Parameters
    ----------
    command, summary, arguments, add, predicts
        As for :func:`parse_command_line`.

    Raises
    ------
    UserError
        The command line or the input is bad.
    """
    given = parse_command_line(command, summary, arguments, add, predicts=predicts)
    named = ("model", "fidelity", "time_limit", "memory_limit", "force")
    options = {name: value for name, value in given.subject.items() if name not in named}
    subject = make_subject(
        options=options, predicts=predicts, **{name: given.subject[name] for name in named}
    )
    return Request(subject, given.arguments)


def _add_input_arguments(parser: Parser, model: Model, predicts: bool) -> None:
    group = parser.add_argument_group("input and files" if predicts else "input")
    for option in model.options:
        if option.predicts and not predicts:
            continue
        if option.kind is bool:
            _add_switch(group, option)
        else:
            group.add_argument(f"--{option.name}", help=option.summary, type=option.kind)


def _add_switch(group: argparse._ArgumentGroup, option: Option) -> None:
    """Add ``--NAME``, ``--NAME=true|false`` and ``--no-NAME``."""
    destination = option.name.replace("-", "_")
    group.add_argument(
        f"--{option.name}",
        help=option.summary,
        nargs="?",
        const=True,
        type=_truth,
        metavar="true|false",
    )
    group.add_argument(
        f"--no-{option.name}",
        dest=destination,
        action="store_const",
        const=False,
        help=argparse.SUPPRESS,
    )


def _truth(text: str) -> bool:
    """The value of a switch; argparse reports texts that are neither."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"takes true or false, not {text!r}") from None


def _add_fidelity_arguments(parser: Parser, model: Model, predicts: bool) -> None:
    group = parser.add_argument_group("fidelity: how much of the prediction runs")
    default = f"production with --{model.weights_option}, else low" if predicts else "low"
    group.add_argument(
        "--fidelity",
        choices=FIDELITIES,
        help=f"low: a cheap measurement; production: the model's own defaults (default: {default})",
    )
    for axis in model.fidelity_axes:
        group.add_argument(
            f"--{axis.name}",
            type=int,
            help=f"{axis.summary} (low {axis.low}, production {axis.production})",
        )


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
        Parser of the subcommand.
    default
        Names of the observers that look at a trial when none is named.
    """
    argument = parser.add_argument(
        "--observe",
        action="append",
        metavar="NAME",
        help=f"observer of each trial: {', '.join(OBSERVERS)}; repeatable "
        f"(default {'all' if default else 'none'})",
    )
    offered(argument, OBSERVERS)
    parser.set_defaults(observers=tuple(default))


def add_jaxlib_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Add ``--jaxlib VERSIONS``.

    Parameters
    ----------
    parser
        Parser of the subcommand.
    summary
        What the subcommand does with the versions.
    """
    parser.add_argument(
        "--jaxlib",
        metavar="VERSIONS",
        help=f"versions of jaxlib, e.g. 0.11.0,0.12.0.1: {summary}. A version is installed once, "
        "in an environment of its own that shares all other packages",
    )


def observers_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The names given with ``--observe``, or the subcommand's default."""
    given = arguments.observe
    names: tuple[str, ...] = arguments.observers if given is None else tuple(given)
    return names


def knobs_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Knob values by name, as given with ``--knob NAME=VALUE``; the last of a name counts.

    Raises
    ------
    UserError
        A text has another form.
    """
    return dict(parse_values(text) for text in arguments.knob)


def knob_lists_of(texts: Sequence[str]) -> dict[str, str]:
    """Listed values by knob, as given with ``--knob NAME=V1,V2``.

    Raises
    ------
    UserError
        A text has another form, or a knob is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, values = parse_values(text)
        if name in found:
            raise UserError(f"knob {name!r} is given twice: write its values in one place")
        found[name] = values
    return found


def configuration_of(request: Request) -> Configuration:
    """The configuration of ``--preset`` with ``--knob`` on top.

    Raises
    ------
    UserError
        A knob or value is impossible, or the preset is for another model.
    """
    return request.subject.configuration(knobs_of(request.arguments), request.arguments.preset)
