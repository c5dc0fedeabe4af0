"""AlphaFold 3's own knobs, and what their values mean for an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perfkit.errors import UserError, nearest
from perfkit.knobs.knob import Knob, Layer, one_of
from perfkit.models.af3.package import UPSTREAM_BUCKETS
from perfkit.models.parameters_knob import PARAMETERS

UPSTREAM = "upstream"
EXACT = "exact"
NEEDED = "needed"

UPSTREAM_MSA_ROWS = 1024
"""Rows of the MSA that upstream's trunk sees (``evoformer.num_msa``)."""


def _word_or_positive(word: str, *more: str) -> Callable[[str], str]:
    words = (word, *more)

    def parse(value: str) -> str:
        if value in words:
            return value
        if value.isdecimal() and int(value) > 0:
            return str(int(value))
        close = nearest(value, words)[0]
        raise ValueError(
            f"it takes {', '.join(words)} or a whole number, 1 or more; the nearest is {close!r}"
        )

    return parse


BUCKET = Knob(
    name="bucket",
    default=UPSTREAM,
    values=(EXACT, UPSTREAM),
    layer=Layer.MODEL,
    exact=True,
    summary="tokens the input is padded to: upstream's buckets, the fewest, or a number",
    parse=_word_or_positive(UPSTREAM, EXACT),
)
MSA_ROWS = Knob(
    name="msa_rows",
    default=str(UPSTREAM_MSA_ROWS),
    values=(NEEDED, str(UPSTREAM_MSA_ROWS)),
    layer=Layer.MODEL,
    exact=True,
    summary="rows of the MSA in the trunk: upstream's 1024, as many as the input has, or a number",
    parse=_word_or_positive(NEEDED),
)
ATOM_SLOTS = Knob(
    name="atom_slots",
    default=UPSTREAM,
    values=(NEEDED, UPSTREAM),
    layer=Layer.MODEL,
    exact=True,
    summary="atoms that there is room for: upstream's 24 a token, or those that the input has",
    parse=one_of(UPSTREAM, NEEDED),
)
PRECISION = Knob(
    name="bfloat16",
    default="all",
    values=("none", "all"),
    layer=Layer.MODEL,
    exact=False,
    summary="where the network computes in bfloat16: all of it, or none (float32)",
    parse=one_of("all", "none"),
)

KNOBS = (BUCKET, MSA_ROWS, ATOM_SLOTS, PRECISION, PARAMETERS)


@dataclass(frozen=True)
class Settings:
    """The knobs' values for one input.

    Parameters
    ----------
    bucket
        Tokens to pad to; inputs of few atoms need one more than they have
        (:func:`perfkit.models.af3.padding.needed_bucket`).
    msa_rows
        Rows asked for, or None for as many as the input has.
    fewest_atom_slots
        Whether atoms get as much room as there are, instead of 24 slots a token.
    bfloat16
        ``all`` or ``none``.
    constants
        Whether the parameters become constants of the executable.
    """

    bucket: int
    msa_rows: int | None
    fewest_atom_slots: bool
    bfloat16: str
    constants: bool


def settings_for(overrides: Mapping[str, str], tokens: int) -> Settings:
    """What the values of the model's knobs mean for an input of ``tokens``.

    Raises
    ------
    UserError
        The bucket is smaller than the input, or the input is larger than upstream's largest.
    """
    values = {knob.name: knob.default for knob in KNOBS} | dict(overrides)
    rows = values[MSA_ROWS.name]
    return Settings(
        bucket=_bucket(values[BUCKET.name], tokens),
        msa_rows=None if rows == NEEDED else int(rows),
        fewest_atom_slots=values[ATOM_SLOTS.name] == NEEDED,
        bfloat16=values[PRECISION.name],
        constants=values[PARAMETERS.name] == "constants",
    )


def _bucket(value: str, tokens: int) -> int:
    if value == EXACT:
        return tokens
    if value == UPSTREAM:
        fitting = [bucket for bucket in UPSTREAM_BUCKETS if bucket >= tokens]
        if not fitting:
            raise UserError(
                f"the input has {tokens} tokens, upstream's largest bucket is "
                f"{UPSTREAM_BUCKETS[-1]}; set bucket={EXACT}"
            )
        return fitting[0]
    if int(value) < tokens:
        raise UserError(
            f"the bucket of {value} tokens is smaller than the input, which has {tokens}"
        )
    return int(value)
