"""``--json``: the result as JSON on standard output, and all other lines on standard error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from perfkit.tuning.choice.recommend import Recommendation


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the result as JSON on standard output, and all other lines on standard error",
    )


def print_json(value: object) -> None:
    """Print a value as JSON; numbers that are not finite become null.

    Parameters
    ----------
    value
        Dataclasses, pydantic models, and collections of them.
    """
    plain = to_jsonable_python(value, inf_nan_mode="null", fallback=_plain)
    json.dump(plain, sys.stdout, indent=2)
    sys.stdout.write("\n")


def recommendation_data(recommendation: Recommendation) -> dict[str, Any]:
    """The recommendation and its table, for :func:`print_json`."""
    return {
        "sentence": recommendation.sentence,
        "objective": recommendation.goal.sentence,
        "best": recommendation.best,
        "stock": recommendation.stock,
        "configurations": recommendation.rows,
        "front": recommendation.front,
        "instances": recommendation.instances,
        "looked_at": recommendation.looked_at,
        "conditions": recommendation.conditions,
    }


def _plain(value: object) -> object:
    """What pydantic does not know: read-only mappings, and objects that have a text."""
    return dict(value) if isinstance(value, Mapping) else str(value)
