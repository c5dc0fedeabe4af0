"""What of a prediction of AlphaFold 3 is compared with the reference."""

from __future__ import annotations

from functools import partial

import numpy as np

from perfkit.answers.made_arrays import MadeArrays
from perfkit.models.prepared import PyTree

LARGEST_LOGITS_BYTES = 64 << 20
"""Above this size the confidence head does not return its logits, so that the comparison does not
determine how much memory a prediction needs. Its decoded scores are always compared."""

LOGIT_BINS = 64
"""Bins of the logits of a token pair. There are two sets, aligned error and distance error."""

CHAOTIC_STEPS = 20
"""Diffusion steps beyond which the sample and its confidence are not compared. Rounding grows from
step to step until two correct programs have different structures."""

LOGITS = {
    "plddt_logits": "predicted_lddt_logits",
    "pae_logits": "predicted_aligned_error_logits",
    "pde_logits": "predicted_distance_error_logits",
}
"""Compared quantity -> upstream's name of the confidence head's logits."""


def compared_quantities(result: PyTree, tokens: int, steps: int) -> MadeArrays:
    """Extract the quantities that are compared with the reference: first sample, no padding.

    Parameters
    ----------
    result
        Upstream's result of one seed.
    tokens
        Number of tokens before padding, n.
    steps
        Number of diffusion steps. Beyond :data:`CHAOTIC_STEPS`, the sample and its confidence are
        left out.

    Returns
    -------
    MadeArrays
        ``single_embedding`` [n, 384]; ``pair_embedding`` [n, n, 128]; ``denoising_step``
        [atoms, 3], the state after the first step in ångström; ``atom_positions`` [atoms, 3] in
        ångström; ``plddt`` [atoms]; ``pae`` [n, n] in ångström; and the logits that
        :data:`LOGITS` names, [atoms, bins] for pLDDT and [n, n, bins] for the others. The step
        and the logits are present only if the installed package returns them. All are float32.
    """
    samples = result["diffusion_samples"]
    mask = np.asarray(samples["mask"])[0, :tokens].astype(bool)
    quantities = {
        "single_embedding": np.asarray(result["single_embeddings"])[:tokens],
        "pair_embedding": np.asarray(result["pair_embeddings"])[:tokens, :tokens],
    }
    if "trajectory" in samples:
        quantities["denoising_step"] = np.asarray(samples["trajectory"])[0, 0, :tokens][mask]
    if steps <= CHAOTIC_STEPS:
        quantities["atom_positions"] = np.asarray(samples["atom_positions"])[0, :tokens][mask]
        quantities["plddt"] = np.asarray(result["predicted_lddt"])[0, :tokens][mask]
        quantities["pae"] = np.asarray(result["full_pae"])[0, :tokens, :tokens]
        for name, key in LOGITS.items():
            if key in result:
                # pLDDT has one set of logits per atom, the others have one per pair of tokens.
                where = mask if name == "plddt_logits" else np.s_[:, :tokens]
                quantities[name] = np.asarray(result[key])[0, :tokens][where]
    # Those of pairs of tokens are views of the outputs until they are widened.
    return MadeArrays(
        {name: partial(np.asarray, value, np.float32) for name, value in quantities.items()}
    )


def logits_are_small(tokens: int, samples: int) -> bool:
    """Whether the logits of all token pairs and samples fit :data:`LARGEST_LOGITS_BYTES`."""
    return 2 * 4 * LOGIT_BINS * samples * tokens**2 <= LARGEST_LOGITS_BYTES


def only_what_is_compared(result: PyTree) -> PyTree:
    """Reduce the trajectory to the first step and the logits to those of the first sample."""
    reduced = dict(result)
    samples = dict(reduced["diffusion_samples"])
    if "trajectory" in samples:
        samples["trajectory"] = samples["trajectory"][:1, :1]
    reduced["diffusion_samples"] = samples
    return reduced | {key: reduced[key][:1] for key in LOGITS.values() if key in reduced}
