"""Peak memory of an AlphaFold 3 prediction on a CPU, predicted before anything is compiled."""

from __future__ import annotations

from perfkit.models.af3.knobs import Settings
from perfkit.models.shared_knobs import BFLOAT16, FLOAT32

PROCESS_BYTES = 1.35e9
"""Interpreter, imported packages, the compiler and its generated code."""

PARAMETER_COUNT = 368_376_218
"""Parameters of the network, counted from upstream's shapes."""

TOKEN_BYTES = {BFLOAT16: 2.6e6, FLOAT32: 3.25e6}
PAIR_BYTES = {BFLOAT16: 6.0e3, FLOAT32: 10.0e3}
"""XLA's temporary bytes a token, which decide on small inputs, and a token pair, which decide on
large ones. From the compiler's own analysis at 76, 128, 256, 512 and 1024 tokens (jaxlib 0.12.0.1,
AVX2): 0.13, 0.29, 0.67, 1.58, 6.25 GB in bfloat16 and 0.21, -, 0.83, 2.70, 9.85 GB in float32, the
MSA's share taken off."""

ROW_BYTES = 1.9e3
"""More a token and MSA row: 0.49 GB at 256 tokens and 1024 rows."""

SAMPLE_BYTES = 33e3
"""More a token for each further diffusion sample: 34 MB at 256 tokens and 5 samples."""

OUTPUT_BYTES = 0.55e3
"""Results a token pair: 0.56 GB at 1024 tokens."""

LIBRARY_SHARE = 1.1
"""Buffers of the matrix-product libraries, which the analysis does not see."""


def peak_resident_bytes(settings: Settings, samples: int) -> int:
    """Predicted peak resident set in bytes.

    Parameters
    ----------
    settings
        What the knobs mean for the input.
    samples
        Diffusion samples that are computed side by side.
    """
    tokens, precision = settings.bucket, settings.precision
    rows = settings.msa_rows or 1
    parameter_bytes = PARAMETER_COUNT * (4 if precision == FLOAT32 else 2)
    # A baked-in parameter exists as literal, as constant of the module and in generated code.
    copies = 5 if settings.constants else 1
    temporary = (
        max(TOKEN_BYTES[precision] * tokens, PAIR_BYTES[precision] * tokens**2)
        + ROW_BYTES * tokens * rows
        + SAMPLE_BYTES * tokens * (samples - 1)
    )
    outputs = OUTPUT_BYTES * tokens**2
    return int(PROCESS_BYTES + copies * parameter_bytes + LIBRARY_SHARE * temporary + outputs)
