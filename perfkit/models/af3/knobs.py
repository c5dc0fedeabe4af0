"""AlphaFold 3's own knobs, and their values for an input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perfkit.errors import UserError
from perfkit.knobs.knob import Bundle, Knob, Layer, Search
from perfkit.knobs.parsers import one_of, word_or_count
from perfkit.models.af3.package import UPSTREAM_BUCKETS
from perfkit.models.shared_knobs import (
    BFLOAT16,
    CONSTANTS,
    FLOAT32,
    parameters_knob,
    precision_knob,
)

UPSTREAM = "upstream"
EXACT = "exact"
NEEDED = "needed"

UPSTREAM_MSA_ROWS = 1024
"""Rows of the MSA that upstream's trunk sees (``evoformer.num_msa``)."""


BUCKET = Knob(
    name="bucket",
    default=UPSTREAM,
    layer=Layer.MODEL,
    exact=True,
    summary="tokens the input is padded to: upstream's buckets, no padding (exact), or a number",
    parse=word_or_count(UPSTREAM, EXACT),
    search=Search((EXACT,), order=1, bundle=Bundle.MAJOR),
)
MSA_ROWS = Knob(
    name="msa_rows",
    default=str(UPSTREAM_MSA_ROWS),
    layer=Layer.MODEL,
    exact=True,
    summary="rows of the MSA in the trunk: upstream's 1024, as many as the input has, or a number",
    parse=word_or_count(NEEDED),
    search=Search((NEEDED,), order=2, bundle=Bundle.MAJOR),
)
ATOM_SLOTS = Knob(
    name="atom_slots",
    default=UPSTREAM,
    layer=Layer.MODEL,
    exact=True,
    summary="room for atoms: upstream's 24 per token, or as many as the input has",
    parse=one_of(UPSTREAM, NEEDED),
    search=Search((NEEDED,), order=3, bundle=Bundle.MAJOR),
)
PRECISION = precision_knob(
    default=BFLOAT16,
    summary="number format of the network: bfloat16, as upstream, or float32",
    allowed=(BFLOAT16, FLOAT32),
    search=Search((FLOAT32,), order=40),
)
PARAMETERS = parameters_knob(order=60)

KNOBS = (BUCKET, MSA_ROWS, ATOM_SLOTS, PRECISION, PARAMETERS)


@dataclass(frozen=True)
class Settings:
    """The knobs' values for one input.

    Attributes
    ----------
    bucket
        Tokens to pad to. Inputs of few atoms need one more than they have, see
        :func:`perfkit.models.af3.padding.needed_bucket`.
    msa_rows
        Rows of the MSA in the trunk, or None for as many as the input has.
    fewest_atom_slots
        Whether there is room only for the atoms of the input, instead of 24 slots per token.
    precision
        ``float32`` or ``bfloat16``.
    constants
        Whether the parameters become constants of the executable.
    """

    bucket: int
    msa_rows: int | None
    fewest_atom_slots: bool
    precision: str
    constants: bool

    @property
    def upstream_bfloat16(self) -> str:
        """Value of upstream's option ``global_config.bfloat16``."""
        return "none" if self.precision == FLOAT32 else "all"


def settings_for(overrides: Mapping[str, str], tokens: int) -> Settings:
    """Return the values of the model's knobs for an input of ``tokens`` tokens.

    Raises
    ------
    UserError
        The bucket is smaller than the input, or the input is larger than upstream's largest
        bucket.
    """
    values = {knob.name: knob.default for knob in KNOBS} | dict(overrides)
    rows = values[MSA_ROWS.name]
    return Settings(
        bucket=_bucket(values[BUCKET.name], tokens),
        msa_rows=None if rows == NEEDED else int(rows),
        fewest_atom_slots=values[ATOM_SLOTS.name] == NEEDED,
        precision=values[PRECISION.name],
        constants=values[PARAMETERS.name] == CONSTANTS,
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
            f"the bucket of {value} tokens is smaller than the input, which has {tokens}; set "
            f"bucket={EXACT} or a larger number"
        )
    return int(value)
