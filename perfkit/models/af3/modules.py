"""Names of the modules of AlphaFold 3, for upstream's Haiku names."""

from __future__ import annotations

from perfkit.models.module_names import Names

STACKS: Names = (
    ("confidence_pairformer", "confidence pairformer"),
    ("confidence_head", "confidence head"),
    ("distogram_head", "distogram head"),
    ("template_embedding", "template embedding"),
    ("msa_stack", "MSA stack"),
    ("trunk_pairformer", "pairformer"),
    ("diffusion_atom_transformer_encoder", "diffusion atom encoder"),
    ("diffusion_atom_transformer_decoder", "diffusion atom decoder"),
    ("evoformer_conditioning_atom_transformer_encoder", "input atom encoder"),
    ("diffusion_head)/transformer", "diffusion transformer"),
    ("diffusion_head/transformer", "diffusion transformer"),
    ("diffusion_head", "diffusion conditioning"),
    ("/evoformer/", "trunk embedding"),
    ("diffuser", "other"),
)
"""Substring of an operation's path -> name of the stack."""

BLOCKS: Names = (
    ("triangle_multiplication_outgoing", "triangle multiplication"),
    ("triangle_multiplication_incoming", "triangle multiplication"),
    ("pair_attention", "triangle attention"),
    ("pair_transition", "pair transition"),
    ("outer_product_mean", "outer product mean"),
    ("msa_attention", "MSA attention"),
    ("msa_transition", "MSA transition"),
    ("single_attention", "single attention"),
    ("single_transition", "single transition"),
    ("single_pair_logits", "single attention"),
    ("ffw", "transition"),
    ("transformer", "attention"),
)
"""Substring of the path after the stack -> name of the block."""
