"""Which inherited variables reach a trial: a list of what is needed, never what happens to be set.

A variable of JAX, XLA, a BLAS, an allocator or Python that is set in a shell would make two equal
configurations run differently, and *stock* something that no other user gets. So a trial's
environment is built from the names below and from what its configuration sets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

KEPT = frozenset(
    {
        # Where a program finds itself, the user, and room to write.
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ"),
        *("LANG", "LANGUAGE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "HOSTNAME"),
        # Which Python packages are found and what is written next to them, not how they run.
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH"),
        *("PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
        *("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE"),
        # OpenBLAS takes some processors for others, and its kernels then return wrong results or
        # crash; whoever sets this has met that. It reaches NumPy and SciPy alone: XLA's programs,
        # and with them every timed pass, do not use OpenBLAS.
        "OPENBLAS_CORETYPE",
        # A file that a model may still have to fetch.
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
"""Names that a trial inherits."""

KEPT_PREFIXES = ("LC_", "XDG_", "PERFKIT_", "SLURM_", "SLURMD_", "PBS_", "NIX_LD")
"""Families that a trial inherits: locale, folders, perfkit's own, the batch system's."""

TOLD = frozenset({"OPENBLAS_CORETYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"})
"""Names that a trial inherits and that a record states: they decide which code runs."""

COMPILER_FAMILIES = (
    *("JAX_", "JAXLIB_", "XLA_", "PJRT_", "LIBTPU_", "TPU_", "TF_XLA_", "TF_CPP_", "TF_ENABLE_"),
    *("TF_DISABLE_", "TF_NUM_", "TF_USE_", "TF_FORCE_", "TF_DETERMINISTIC_", "TF_CUDNN_"),
    *("TF_GPU_", "TF_ONEDNN_", "ABSL_", "EIGEN_", "DNNL_", "ONEDNN_", "CUDA_", "ENABLE_PJRT_"),
    *("JAXTYPING_", "HAIKU_", "TOKAMAX_", "TRITON_", "AF3_", "BIOEMU2_", "IF2_", "WEATHERNEXT_"),
    *("MALLOC_", "GLIBC_", "JEMALLOC_", "TCMALLOC_", "MIMALLOC_", "LD_"),
)
"""First letters of variables that JAX, XLA, the models, the allocators or the loader read."""

LIBRARY_FAMILIES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "BLAS_", "NVPL_"),
    *("VECLIB_", "NUMEXPR_", "NPY_", "NUMBA_", "TBB_"),
    *("PYTHON", "ASAN_", "TSAN_", "UBSAN_", "LSAN_"),
)
"""First letters of variables that other numerical libraries and Python read: they change what is
around a timed pass. Nothing outside of the two lists is ever recorded."""

MEMBERS = frozenset({"NPROC"})
"""Variables of the same effect outside of the families: XLA's thread pool follows this one."""

UNIMPORTANT = frozenset(
    # How much a Python prints and when, and what an interactive one does.
    {"PYTHONUNBUFFERED", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONHISTORY"}
)
"""Members of the families that change no computation: left out of trials without a word."""

SET_BY_JAX = {"TF_CPP_MIN_LOG_LEVEL": "1", "TPU_SKIP_MDS_QUERY": "1"}
"""What ``import jax`` sets in its own process, which passes it on to every child.

A trial imports JAX too and so ends up with the same values.
"""

_SECRET = re.compile(r"TOKEN|SECRET|PASS|CREDENTIAL|AUTH|(^|_)KEY(_|$|S)")
_LOGIN = re.compile(r"(\w+://)[^/@\s]+@")

HIDDEN = "(not shown)"
"""Stands for a value that may be a secret."""


def kept_variables(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """What of an environment a trial inherits.

    Parameters
    ----------
    inherited
        The environment; this process's by default.
    """
    base = os.environ if inherited is None else inherited
    return {
        name: value
        for name, value in base.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES)
    }


def changes_computation(name: str, value: str) -> bool:
    """Whether a variable is known to change how a program computes."""
    if name in UNIMPORTANT or SET_BY_JAX.get(name) == value:
        return False
    return name in MEMBERS or name.startswith((*COMPILER_FAMILIES, *LIBRARY_FAMILIES))


def shown(name: str, value: str) -> str:
    """A variable's value as it may be printed and recorded: no secret, no login."""
    if _SECRET.search(name.upper()):
        return HIDDEN
    return _LOGIN.sub(r"\1", value)
