"""From a fold input to the arrays that the model takes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.components import ccd_for
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.inputs.upstream_errors import REFUSALS, brief
from perfkit.models.af3.inputs.upstream_warnings import capture_warnings

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

_NEWEST_REFERENCE = datetime.date(2021, 9, 30)
"""Components modified later may not lend their model coordinates: upstream's own default."""

type Features = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Batch:
    """The features of one seed.

    Attributes
    ----------
    seed
        The model seed that the features were made with; it fixes the reference conformers.
    complete
        All features, with the names of atoms and chains: what turns a result into structures.
    numeric
        Those that the model takes: arrays of numbers.
    notices
        What upstream warned of.
    """

    seed: int
    complete: Features
    numeric: Features
    notices: tuple[str, ...] = ()


def featurise(fold_input: Input, bucket: int | None = None) -> list[Batch]:
    """The features of an input, padded to a number of tokens. Imports JAX.

    Parameters
    ----------
    fold_input
        An input whose MSAs and templates are set.
    bucket
        Tokens to pad to; None pads nothing.

    Returns
    -------
    list of Batch
        One for each seed of the input, in their order.

    Raises
    ------
    UserError
        The bucket is smaller than the input, or upstream refuses the input.
    """
    provide_glycan_ion_sets()
    from alphafold3.data import featurisation
    from alphafold3.model.components import utils
    from alphafold3.model.pipeline import pipeline

    tokens = count_tokens(fold_input)
    if bucket is not None and bucket < tokens:
        raise UserError(
            f"the bucket of {bucket} tokens is smaller than the input, which has {tokens}"
        )
    try:
        with capture_warnings() as captured:
            examples = featurisation.featurise_input(
                fold_input,
                ccd=ccd_for(fold_input),
                buckets=None if bucket is None else [bucket],
                ref_max_modified_date=_NEWEST_REFERENCE,
            )
    except (*REFUSALS, pipeline.MmcifNumChainsError, pipeline.NanDataError) as error:
        raise UserError(
            f"the input {fold_input.name!r} cannot be featurised: {brief(error)}"
        ) from error
    batches = [
        Batch(seed, example, utils.remove_invalidly_typed_feats(example), captured.notices)
        for seed, example in zip(fold_input.rng_seeds, examples, strict=True)
    ]
    for batch in batches:
        found = int(np.asarray(batch.numeric["seq_mask"]).sum())
        if found != tokens:
            raise AssertionError(
                f"perfkit counts {tokens} tokens of {fold_input.name!r} and upstream {found}"
            )
    return batches
