"""Featurises without the padding that the settings remove.

``featurise_input`` returns arrays that go to the network and, later, to the code that writes the
structure. Both take them with less padding, see :mod:`perfkit.models.af3.padding`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from perfkit.foreign.adapter import ForeignOptions, SettingsReport
from perfkit.models.af3.foreign.networks_in_use import NetworksInUse
from perfkit.models.af3.knobs import ATOM_SLOTS, BUCKET, EXACT, MSA_ROWS, NEEDED, TEMPLATES
from perfkit.models.af3.padding import (
    LEAST_BUCKET,
    MSA_FEATURES,
    SUBSET_FEATURES,
    TEMPLATE_FEATURES,
    UPSTREAM_TEMPLATES,
    needed_bucket,
    needed_templates,
    used_msa_rows,
    used_subsets,
    with_msa_rows,
    with_subsets,
    with_templates,
)

MOST_TOKENS = 1 << 17
"""Size at which the buckets end, far beyond any prediction."""

SLOT_STEPS = 8
"""Number of different sizes of the room for atoms in a bucket, where the number of programs is
limited."""

TOKEN_FEATURES = ("seq_mask", "pred_dense_atom_mask")
"""Features from which the tokens and the atoms of an input are counted."""

type Batch = Mapping[str, Any]
"""Name of a feature -> its values."""


def bucket_sizes(value: str, step: int | None) -> Sequence[int]:
    """Return the buckets to choose from, in increasing order, for an input of any size.

    Parameters
    ----------
    value
        Value of the knob ``bucket``: ``exact``, or a number of tokens.
    step
        Tokens by which buckets grow; None for each input's own size. An input that is larger than
        a number gets the bucket that ``exact`` would give it.
    """
    step = step or 1
    if value == EXACT:
        return range(rounded_up(LEAST_BUCKET, step), MOST_TOKENS, step)
    first = max(int(value), LEAST_BUCKET)
    return [first, *range(rounded_up(first + 1, step), MOST_TOKENS, step)]


def rounded_up(number: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is not below ``number``."""
    return -(-number // step) * step


def adapt_featurisation(
    module: ModuleType,
    settings: Mapping[str, str],
    options: ForeignOptions,
    report: SettingsReport,
    in_use: NetworksInUse,
) -> None:
    """Make ``alphafold3.data.featurisation.featurise_input`` follow the settings.

    Parameters
    ----------
    module
        The module.
    settings
        Knob -> value.
    options
        Options of the run.
    report
        Where to report what became of each setting.
    in_use
        Networks that the program has configured.
    """
    featurise = module.featurise_input
    signature = inspect.signature(featurise)
    takes_buckets = "buckets" in signature.parameters
    padding = _Padding(settings, options.bucket_step, report)

    @functools.wraps(featurise)
    def featurise_input(*given: Any, **named: Any) -> Any:
        call = signature.bind(*given, **named)
        name = str(getattr(call.arguments.get("fold_input"), "name", "the input"))
        others = in_use.others()
        if others:
            padding.refuse(f"the program runs {', '.join(others)}, another network")
            return featurise(*call.args, **call.kwargs)

        own_buckets = call.arguments.get("buckets")

        def in_buckets(buckets: Sequence[int] | None, *, again: bool = False) -> Sequence[Batch]:
            if takes_buckets:
                call.arguments["buckets"] = buckets
            if again and "verbose" in signature.parameters:
                # The program's output stays what it is without perfkit.
                call.arguments["verbose"] = False
            batches: Sequence[Batch] = featurise(*call.args, **call.kwargs)
            return batches

        chooses = takes_buckets and BUCKET.name in settings
        batches = in_buckets(padding.bucket_sizes() if chooses else own_buckets)
        if not all(feature in batches[0] for feature in TOKEN_FEATURES):
            padding.refuse("this alphafold3 has other features")
            return in_buckets(own_buckets, again=True)
        if chooses:
            batches = padding.in_needed_bucket(name, batches, in_buckets)
        report.predicts(name, tokens_of(batches[0]))
        if MSA_ROWS.name in settings:
            adapted = MSA_ROWS.name in in_use.adapted
            batches = padding.with_rows(name, batches, network_is_adapted=adapted)
        if settings.get(ATOM_SLOTS.name) == NEEDED:
            batches = padding.with_slots(batches)
        if TEMPLATES.name in settings and TEMPLATES.name in in_use.adapted:
            batches = padding.with_templates(name, batches)
        return batches

    module.featurise_input = featurise_input  # type: ignore[attr-defined]  # a module of another program
    if not takes_buckets and BUCKET.name in settings:
        report.could_not(BUCKET.name, "this alphafold3 does not let programs choose the bucket")


def tokens_of(batch: Batch) -> int:
    """Count the tokens of an input, without padding."""
    return int(np.asarray(batch["seq_mask"]).sum())


class _Padding:
    """Padding of the features under the settings.

    Parameters
    ----------
    settings
        Knob -> value.
    step
        Tokens by which buckets grow; None for each input's own size.
    report
        Where to report what became of each setting.
    """

    def __init__(
        self, settings: Mapping[str, str], step: int | None, report: SettingsReport
    ) -> None:
        self._settings = settings
        self._step = step
        self._report = report

    def refuse(self, reason: str) -> None:
        """Report that the settings of the features do not apply to an input."""
        for knob in (BUCKET, MSA_ROWS, ATOM_SLOTS, TEMPLATES):
            if knob.name in self._settings:
                self._report.could_not(knob.name, reason)

    def bucket_sizes(self) -> Sequence[int]:
        """Return the buckets to choose from."""
        return bucket_sizes(self._settings[BUCKET.name], self._step)

    def in_needed_bucket(
        self, name: str, batches: Sequence[Batch], featurise: Callable[..., Sequence[Batch]]
    ) -> Sequence[Batch]:
        """Featurise again if the answer needs a larger bucket.

        Parameters
        ----------
        name
            Name of the input.
        batches
            Features of each seed, in the smallest bucket.
        featurise
            Featurises in the best of some buckets; ``again`` keeps it from printing.
        """
        value = self._settings[BUCKET.name]
        needed = needed_bucket(batches[0])
        if needed > len(batches[0]["seq_mask"]):
            larger = [size for size in self.bucket_sizes() if size >= needed]
            batches = featurise(larger, again=True)
        bucket = len(batches[0]["seq_mask"])
        tokens = tokens_of(batches[0])
        if value != EXACT and tokens > int(value):
            self._report.could_not(
                BUCKET.name,
                f"{name} has {tokens} tokens, more than {value}; its bucket is {bucket}",
            )
        else:
            self._report.took_effect(BUCKET.name, f"{bucket} tokens")
        return batches

    def with_rows(
        self, name: str, batches: Sequence[Batch], *, network_is_adapted: bool
    ) -> Sequence[Batch]:
        """Remove empty rows of the MSA, or report what a fixed number of rows means.

        Parameters
        ----------
        name
            Name of the input.
        batches
            Features of each seed.
        network_is_adapted
            Whether the network of this process takes no more rows than there are. DeepMind's
            repeats the last row otherwise.
        """
        value = self._settings[MSA_ROWS.name]
        if not all(feature in batches[0] for feature in MSA_FEATURES):
            self._report.could_not(MSA_ROWS.name, "this alphafold3 has other features of the MSA")
            return batches
        used = max(used_msa_rows(batch) for batch in batches)
        if value != NEEDED:
            if used > int(value):
                self._report.say(
                    f"msa_rows={value}: the trunk sees {value} of the {used} rows of the MSA of "
                    f"{name}; the answer differs from upstream's"
                )
            return batches
        if not network_is_adapted:
            self._report.could_not(
                MSA_ROWS.name, "the program has not imported the network that takes the features"
            )
            return batches
        rows = used if self._step is None else 1 << (used - 1).bit_length()
        rows = min(rows, len(batches[0]["msa_mask"]))
        self._report.took_effect(MSA_ROWS.name, f"{rows} rows")
        return [with_msa_rows(batch, rows) for batch in batches]

    def with_slots(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Remove empty room for atoms."""
        if not all(f"{feature}:gather_mask" in batches[0] for feature in SUBSET_FEATURES):
            self._report.could_not(ATOM_SLOTS.name, "this alphafold3 has other features of atoms")
            return batches
        most = len(batches[0]["token_atoms_to_queries:gather_mask"])
        subsets = max(used_subsets(batch) for batch in batches)
        if self._step is not None:
            subsets = min(rounded_up(subsets, -(-most // SLOT_STEPS)), most)
        self._report.took_effect(ATOM_SLOTS.name)
        return [with_subsets(batch, subsets) for batch in batches]

    def with_templates(self, name: str, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Keep one of equal templates.

        Parameters
        ----------
        name
            Name of the input.
        batches
            Features of each seed.
        """
        if not all(feature in batches[0] for feature in TEMPLATE_FEATURES):
            self._report.could_not(TEMPLATES.name, "this alphafold3 has other templates")
            return batches
        templates = max(needed_templates(batch) for batch in batches)
        if templates > 1:
            self._report.could_not(
                TEMPLATES.name,
                f"{name} does not have {UPSTREAM_TEMPLATES} equal templates, so that all count",
            )
            return batches
        self._report.took_effect(TEMPLATES.name, f"1 of {len(batches[0][TEMPLATE_FEATURES[0]])}")
        return [with_templates(batch, templates) for batch in batches]
