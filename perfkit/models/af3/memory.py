"""Predicts the peak memory of an AlphaFold 3 prediction on a CPU before compiling anything."""

from __future__ import annotations

from perfkit.models.af3.knobs import ATTENTION_CHUNK, UPSTREAM, Settings, rows_together
from perfkit.models.shared_knobs import BFLOAT16, FLOAT32

KNOWN_FOR = ("alphafold3-colabfold",)
"""Distributions that the constants below were measured with."""

PROCESS_BYTES = 1.35e9
"""Resident bytes of the interpreter, imported packages, the compiler and its generated code."""

PARAMETER_COUNT = 368_376_218
"""Number of parameters of the network, from upstream's shapes."""

TOKEN_BYTES = {BFLOAT16: 2.6e6, FLOAT32: 3.25e6}
PAIR_BYTES = {BFLOAT16: 6.0e3, FLOAT32: 10.0e3}
"""XLA's temporary bytes per token, which dominate on small inputs, and per token pair, which
dominate on large ones, by the value of the precision knob. Fitted to the compiler's own memory
analysis at 76, 128, 256, 512 and 1024 tokens (jaxlib 0.12.0.1, AVX2) without the MSA's share:
0.13, 0.29, 0.67, 1.58, 6.25 GB in bfloat16 and 0.21, -, 0.83, 2.70, 9.85 GB in float32."""

ROW_BYTES = 1.9e3
"""Additional temporary bytes per token and MSA row: 0.49 GB at 256 tokens and 1024 rows."""

ATTENTION_BYTES = 41.0
"""Additional temporary bytes per token pair and row that attends together with upstream's: 0.34 GB
in bfloat16 for all rows of 256 tokens instead of 128, in float32 0.23 GB. Four heads have logits of
4 bytes, in two to three arrays."""

SAMPLE_BYTES = 33e3
"""Additional temporary bytes per token for each diffusion sample after the first: 34 MB at 256
tokens and 5 samples."""

OUTPUT_BYTES = 0.55e3
"""Bytes of the results per token pair: 0.56 GB at 1024 tokens."""

LIBRARY_SHARE = 1.1
"""Factor for buffers of the matrix-product libraries, which the compiler's analysis omits."""


def peak_resident_bytes(settings: Settings, samples: int) -> int:
    """Predict the peak resident set of a prediction.

    Parameters
    ----------
    settings
        Values of the knobs for the input.
    samples
        Diffusion samples that are computed together.

    Returns
    -------
    int
        Peak resident set in bytes.
    """
    tokens, precision = settings.bucket, settings.precision
    rows = settings.msa_rows or 1
    parameter_bytes = PARAMETER_COUNT * (4 if precision == FLOAT32 else 2)
    # A parameter that is a constant exists as a literal, in the module and in generated code.
    copies = 5 if settings.constants else 1
    temporary = (
        max(TOKEN_BYTES[precision] * tokens, PAIR_BYTES[precision] * tokens**2)
        + ROW_BYTES * tokens * rows
        + SAMPLE_BYTES * tokens * (samples - 1)
    )
    attending = [
        rows_together(ATTENTION_CHUNK.name, value, tokens)
        for value in (settings.attention_chunk, UPSTREAM)
    ]
    # Native attention holds no logits, so that all rows take no more than upstream's. How much less
    # they take is not yet measured: the estimate is an upper bound.
    if settings.attends_natively:
        attending[0] = attending[1]
    temporary += ATTENTION_BYTES * tokens**2 * max(0, attending[0] - attending[1])
    outputs = OUTPUT_BYTES * tokens**2
    return int(PROCESS_BYTES + copies * parameter_bytes + LIBRARY_SHARE * temporary + outputs)
