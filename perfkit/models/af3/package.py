"""The installed AlphaFold 3: imported once, told apart by what it offers."""

from __future__ import annotations

import importlib.util
from typing import Any

from perfkit.builds import installed_build, source_digest
from perfkit.errors import MissingDependencyError
from perfkit.files import Plain
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets

REQUIRED = ("alphafold3", "jax", "haiku", "tokamax", "biotite", "rdkit")
"""Import names of the ``af3`` extra, beside what they bring themselves."""

DISTRIBUTIONS = ("alphafold3", "alphafold3-colabfold", "dm-haiku")
"""Distributions that decide which parameters the network has."""

UPSTREAM_BUCKETS = (
    128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120,
)  # fmt: skip
"""Token buckets of upstream's ``run_alphafold.py`` (the default of its ``--buckets``)."""


def package_identity() -> dict[str, Plain]:
    """What the network's parameters, and constants built for it, depend on.

    The installed distributions, and the package's sources: another package of the same name may
    come first on the path.
    """
    return {
        "sources": source_digest("alphafold3"),
        **{name: installed_build(name) for name in DISTRIBUTIONS},
    }


def ensure_installed() -> None:
    """Refuse, without importing any of it, when a part of the ``af3`` extra is missing.

    Raises
    ------
    MissingDependencyError
        Names what is missing.
    """
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"AlphaFold 3 needs {', '.join(missing)}, which is not installed: "
            "run 'make env', or pip install 'perfkit[af3]'"
        )


def import_model() -> Any:
    """Upstream's ``alphafold3.model.model`` module; imports JAX.

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
) -> Any:
    """Upstream's configuration, as ``run_alphafold.py`` makes it, at a fidelity.

    Parameters
    ----------
    recycles, steps, samples
        Recycles (one trunk pass more than that), diffusion steps, diffusion samples.
    msa_rows
        Rows of the MSA that the trunk sees.
    bfloat16
        ``all`` or ``none``.
    confidence_logits
        Whether the confidence head returns its logits too.

    Notes
    -----
    Embeddings, the state after each diffusion step and logits are returned beside what upstream
    returns by default, where the installed package has the option (DeepMind's own has the first
    only): agreement is judged on them part by part. They are results of the same computation and
    cost one copy.
    """
    config = import_model().Model.Config()
    config.global_config.flash_attention_implementation = "xla"
    config.global_config.bfloat16 = bfloat16
    config.num_recycles = recycles
    config.heads.diffusion.eval.steps = steps
    config.heads.diffusion.eval.num_samples = samples
    config.evoformer.num_msa = msa_rows
    config.return_embeddings = True
    if hasattr(config.heads.diffusion.eval, "return_trajectory"):
        config.heads.diffusion.eval.return_trajectory = True
    if hasattr(config, "return_confidence_logits"):
        config.return_confidence_logits = confidence_logits
    return config


def transformed(config: Any) -> Any:
    """The Haiku transform of upstream's whole model under ``config``.

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
