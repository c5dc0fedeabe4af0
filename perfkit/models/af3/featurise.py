"""Turns a fold input into the arrays that the model takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.components import DictionaryFor, ccd_for
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.inputs.upstream_errors import REFUSALS, brief
from perfkit.models.af3.inputs.upstream_warnings import capture_warnings
from perfkit.models.af3.run_options import UPSTREAM_FEATURES, FeatureOptions

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

type Features = Mapping[str, npt.NDArray[np.generic]]
"""Name of a feature -> its values."""


@dataclass(frozen=True)
class Batch:
    """The features of one seed.

    Attributes
    ----------
    seed
        Model seed that the features were made with. It determines the reference conformers.
    complete
        All features, including the names of atoms and chains that are needed to write structures.
    numeric
        The features that the model takes: arrays of numbers.
    notices
        One sentence per warning of upstream.
    """

    seed: int
    complete: Features
    numeric: Features
    notices: tuple[str, ...] = ()


def featurise(
    fold_input: Input,
    bucket: int | None = None,
    dictionary_for: DictionaryFor = ccd_for,
    options: FeatureOptions = UPSTREAM_FEATURES,
) -> list[Batch]:
    """Compute the features of an input with upstream's pipeline. Imports JAX.

    Parameters
    ----------
    fold_input
        An input whose MSAs and templates are set.
    bucket
        Number of tokens to pad to; None for no padding.
    dictionary_for
        Returns the component dictionary of the input.
    options
        Choices of the featurisation.

    Returns
    -------
    list of Batch
        One batch per seed of the input, in the order of the seeds.

    Raises
    ------
    UserError
        The bucket is smaller than the input, upstream refuses the input, or the installed package
        lacks a choice.
    """
    provide_glycan_ion_sets()
    from alphafold3.data import featurisation
    from alphafold3.model.components import utils
    from alphafold3.model.pipeline import pipeline

    arguments = options.arguments_for(featurisation.featurise_input)
    fix = options.fix_standalone_glycans
    tokens = count_tokens(fold_input, dictionary_for, fix_standalone_glycans=fix)
    if bucket is not None and bucket < tokens:
        raise UserError(
            f"the bucket of {bucket} tokens is smaller than the input, which has {tokens} tokens"
        )
    try:
        with capture_warnings() as captured:
            examples = featurisation.featurise_input(
                fold_input,
                ccd=dictionary_for(fold_input),
                buckets=None if bucket is None else [bucket],
                **arguments,
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
                f"perfkit counts {tokens} tokens in {fold_input.name!r}, but upstream {found}"
            )
    return batches
