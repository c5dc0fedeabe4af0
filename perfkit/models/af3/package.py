"""Imports and identifies the installed AlphaFold 3."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from perfkit.builds import installed_build, source_digest
from perfkit.errors import MissingDependencyError
from perfkit.files import JsonData
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets

REQUIRED = ("alphafold3", "jax", "haiku", "tokamax", "biotite", "rdkit")
"""Import names of the packages of the ``af3`` extra, without their own dependencies."""

DISTRIBUTIONS = ("alphafold3", "alphafold3-colabfold", "dm-haiku")
"""Distributions that determine the parameters of the network."""

UPSTREAM_BUCKETS = (
    128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120,
)  # fmt: skip
"""Token buckets of upstream's ``run_alphafold.py`` (the default of its ``--buckets``)."""

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
    """Check that the packages of the ``af3`` extra are installed, without importing them.

    Parameters
    ----------
    required
        Import names of the packages.

    Raises
    ------
    MissingDependencyError
        A package is missing; the message names every missing one.
    """
    missing = [name for name in required if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"AlphaFold 3 needs {', '.join(missing)}, which is not installed: "
            "run 'make env', or pip install 'perfkit[af3]'"
        )


def import_model() -> Any:
    """Import upstream's module ``alphafold3.model.model``. Imports JAX.

    Raises
    ------
    MissingDependencyError
        The ``af3`` extra is not installed.
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
