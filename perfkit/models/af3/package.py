"""Imports and identifies the installed AlphaFold 3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from perfkit.builds import installed_build, source_digest
from perfkit.errors import MissingDependencyError
from perfkit.files import JsonData
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.packages import (
    PROVIDERS,
    distribution_name,
    missing_packages,
    require_packages,
)

PACKAGE = "alphafold3"
"""Import name of the model's package, which several distributions provide."""

REQUIRED = ("jax", "haiku", "tokamax", "biotite", "rdkit")
"""Import names of the packages that the model and perfkit need in addition to :data:`PACKAGE`."""

SOURCES = "install DeepMind's from the repository google-deepmind/alphafold3, or ColabFold's build"
"""Where to get the model's package. Both must never be installed together."""

DISTRIBUTIONS = (*PROVIDERS[PACKAGE], "dm-haiku")
"""Distributions that determine the parameters of the network."""

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
"""No options beyond the arguments."""


def package_identity() -> dict[str, JsonData]:
    """Identify the installed AlphaFold 3, for the cache keys of its parameters and constants.

    Returns
    -------
    dict
        Builds of :data:`DISTRIBUTIONS` and a digest of the package's sources; the digest differs
        if another package of the same name comes first on the path.
    """
    return {
        "sources": source_digest("alphafold3"),
        **{name: installed_build(name) for name in DISTRIBUTIONS},
    }


def ensure_installed(required: Iterable[str] = REQUIRED) -> None:
    """Check that AlphaFold 3 and the packages that it needs are installed, without importing them.

    Parameters
    ----------
    required
        Import names of the packages in addition to the model's.

    Raises
    ------
    MissingDependencyError
        A package is missing. Where the model's package is there, the message names the other
        missing ones alone, so that the advice never replaces it.
    """
    if missing_packages((PACKAGE,)):
        wanted = ("alphafold3-colabfold", *map(distribution_name, missing_packages(required)))
        raise MissingDependencyError(
            f"AlphaFold 3 needs {PACKAGE}, which is not installed: {SOURCES} with pip install "
            f"{' '.join(wanted)}"
        )
    require_packages("AlphaFold 3", required, alongside=PACKAGE)


def import_model() -> Any:
    """Import upstream's module ``alphafold3.model.model``. Imports JAX.

    Raises
    ------
    MissingDependencyError
        A package is missing, see :func:`ensure_installed`.
    """
    ensure_installed()
    provide_glycan_ion_sets()
    from alphafold3.model import model

    return model


def model_config(
    *,
    recycles: int,
    steps: int,
    samples: int,
    msa_rows: int,
    bfloat16: str,
    confidence_logits: bool = False,
    distogram: bool = False,
    global_options: Mapping[str, object] = NO_OPTIONS,
) -> Any:
    """Make upstream's configuration as ``run_alphafold.py`` does, at a given fidelity.

    Parameters
    ----------
    recycles
        Number of recycles. The trunk runs once more than that.
    steps
        Number of diffusion steps.
    samples
        Number of diffusion samples.
    msa_rows
        Number of MSA rows in the trunk.
    bfloat16
        ``all`` or ``none``.
    confidence_logits
        Whether the confidence head also returns its logits.
    distogram
        Whether the distogram is returned.
    global_options
        Other options of upstream's ``global_config`` and their values.

    Notes
    -----
    In addition to upstream's default results, the configuration asks for embeddings, the state
    after each diffusion step, and logits, because agreement is judged on them part by part. The
    installed package may not offer all of these; DeepMind's own offers the embeddings only. They
    are results of the same computation and cost one copy.
    """
    config = import_model().Model.Config()
    config.global_config.flash_attention_implementation = "xla"
    config.global_config.bfloat16 = bfloat16
    for option, value in global_options.items():
        setattr(config.global_config, option, value)
    config.num_recycles = recycles
    config.heads.diffusion.eval.steps = steps
    config.heads.diffusion.eval.num_samples = samples
    config.evoformer.num_msa = msa_rows
    config.return_embeddings = True
    config.return_distogram = distogram
    if hasattr(config.heads.diffusion.eval, "return_trajectory"):
        config.heads.diffusion.eval.return_trajectory = True
    if hasattr(config, "return_confidence_logits"):
        config.return_confidence_logits = confidence_logits
    return config


def transformed(config: Any) -> Any:
    """Make the Haiku transform of upstream's whole model.

    Parameters
    ----------
    config
        Configuration from :func:`model_config`.

    Returns
    -------
    haiku.Transformed
        ``init(key, batch)`` and ``apply(parameters, key, batch)``.
    """
    import haiku as hk

    model = import_model()

    @hk.transform
    def forward(batch: Any) -> Any:
        return model.Model(config)(batch)

    return forward
