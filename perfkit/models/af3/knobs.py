"""AlphaFold 3's own knobs, and their values for an input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from perfkit.errors import UserError
from perfkit.knobs.knob import Bundle, Host, Knob, Layer, Search
from perfkit.knobs.parsers import one_of, word_or_count
from perfkit.models.af3.network.kernels import why_no_native_kernels
from perfkit.models.af3.network.source import why_all_templates
from perfkit.models.shared_knobs import (
    BFLOAT16,
    CONSTANTS,
    FLOAT32,
    NATIVE,
    kernels_knob,
    parameters_knob,
    precision_knob,
)

UPSTREAM = "upstream"
EXACT = "exact"
NEEDED = "needed"
WHOLE = "whole"

UPSTREAM_MSA_ROWS = 1024
"""Rows of the MSA that upstream's trunk sees (``evoformer.num_msa``)."""

UPSTREAM_BUCKETS = (
    128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120,
)  # fmt: skip
"""Token buckets of upstream's ``run_alphafold.py`` (the default of its ``--buckets``)."""

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


def _why_all_templates(value: str, host: Host) -> str | None:
    return why_all_templates() if value == NEEDED else None


TEMPLATES = Knob(
    name="templates",
    default=UPSTREAM,
    layer=Layer.MODEL,
    exact=True,
    summary="templates that are embedded: upstream's four, or one where all are equal, as the "
    "empty ones of an input without templates are (needed)",
    parse=one_of(UPSTREAM, NEEDED),
    search=Search((NEEDED,), order=5, bundle=Bundle.MAJOR),
    why_not=_why_all_templates,
)
KERNELS = kernels_knob(
    "attention, triangle multiplication and transitions of the trunk and of the diffusion",
    # The main gain on large inputs.
    order=4,
    why_no_native=why_no_native_kernels,
)
ATTENTION_CHUNK = Knob(
    name="pair_attention_chunk",
    default=UPSTREAM,
    layer=Layer.MODEL,
    exact=True,
    summary="rows of the pair representation that attend together: upstream's 128 (32 above 1536 "
    "tokens; all with native kernels), all (whole), or a number",
    parse=word_or_count(UPSTREAM, WHOLE),
    search=Search(("32", "8", WHOLE), order=25),
)
TRANSITION_SHARD = Knob(
    name="pair_transition_shard",
    default=UPSTREAM,
    layer=Layer.MODEL,
    exact=True,
    summary="rows of the pair representation that pass through a transition together: upstream's "
    "all (1024 above 2048 tokens), all (whole), or a number",
    parse=word_or_count(UPSTREAM, WHOLE),
    search=Search(("32", "8"), order=35),
)
PRECISION = precision_knob(
    default=BFLOAT16,
    summary="number format of the network: bfloat16, as upstream, or float32",
    allowed=(BFLOAT16, FLOAT32),
    search=Search((FLOAT32,), order=40),
)
PARAMETERS = parameters_knob(order=60, memory_ratio=2.7)
"""The peak was 6.3 instead of 2.3 GB with 76 tokens."""


KNOBS = (
    BUCKET,
    MSA_ROWS,
    ATOM_SLOTS,
    TEMPLATES,
    KERNELS,
    ATTENTION_CHUNK,
    TRANSITION_SHARD,
    PRECISION,
    PARAMETERS,
)

type RowSpec = tuple[tuple[int | None, int | None], ...]
"""Upstream's choice of rows: pairs of the most tokens and the rows up to there; None for no limit
and for all rows."""

UPSTREAM_ROWS: Mapping[str, RowSpec] = MappingProxyType(
    {
        ATTENTION_CHUNK.name: ((1536, 128), (None, 32)),
        TRANSITION_SHARD.name: ((2048, None), (None, 1024)),
    }
)
"""Knob -> upstream's default of the option in :data:`ROW_OPTIONS`."""

ROW_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        ATTENTION_CHUNK.name: "pair_attention_chunk_size",
        TRANSITION_SHARD.name: "pair_transition_shard_spec",
    }
)
"""Knob -> the option of upstream's ``global_config`` that it sets."""


def row_spec(value: str) -> RowSpec:
    """Return the value of an upstream option for a value of its knob that is not ``upstream``."""
    return ((None, None if value == WHOLE else int(value)),)


def upstream_bfloat16(precision: str) -> str:
    """Return the value of upstream's option ``global_config.bfloat16`` for a precision."""
    return "none" if precision == FLOAT32 else "all"


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
    fewest_templates
        Whether equal templates are embedded once.
    native_kernels
        Whether the network runs with native kernels.
    attention_chunk, transition_shard
        Rows of the pair representation that are computed together: ``upstream``, ``whole`` or a
        number.
    precision
        ``float32`` or ``bfloat16``.
    constants
        Whether the parameters become constants of the executable.
    """

    bucket: int
    msa_rows: int | None
    fewest_atom_slots: bool
    fewest_templates: bool
    native_kernels: bool
    attention_chunk: str
    transition_shard: str
    precision: str
    constants: bool

    @property
    def upstream_bfloat16(self) -> str:
        """Value of upstream's option ``global_config.bfloat16``."""
        return upstream_bfloat16(self.precision)

    @property
    def attends_natively(self) -> bool:
        """Whether the native kernel computes triangle attention."""
        return self.native_kernels and self.attention_chunk in (UPSTREAM, WHOLE)

    @property
    def upstream_rows(self) -> dict[str, RowSpec]:
        """Values of upstream's options of ``global_config`` that the knobs set."""
        chunk = self.attention_chunk
        chosen = {
            # The kernel takes all rows only, and its logits take no memory.
            ATTENTION_CHUNK.name: WHOLE if self.attends_natively else chunk,
            TRANSITION_SHARD.name: self.transition_shard,
        }
        return {
            ROW_OPTIONS[knob]: row_spec(value)
            for knob, value in chosen.items()
            if value != UPSTREAM
        }


def rows_together(knob: str, value: str, tokens: int) -> int:
    """Return how many rows of the pair representation are computed together.

    Parameters
    ----------
    knob
        Name of :data:`ATTENTION_CHUNK` or :data:`TRANSITION_SHARD`.
    value
        Value of the knob.
    tokens
        Rows of the pair representation.
    """
    if value == UPSTREAM:
        fitting = (rows for most, rows in UPSTREAM_ROWS[knob] if most is None or tokens <= most)
        rows = next(fitting)
    else:
        rows = None if value == WHOLE else int(value)
    return tokens if rows is None else min(rows, tokens)


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
        fewest_templates=values[TEMPLATES.name] == NEEDED,
        native_kernels=values[KERNELS.name] == NATIVE,
        attention_chunk=values[ATTENTION_CHUNK.name],
        transition_shard=values[TRANSITION_SHARD.name],
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
