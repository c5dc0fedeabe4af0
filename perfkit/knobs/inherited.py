"""The environment variables that a trial inherits.

A variable of JAX, XLA, a BLAS, an allocator or Python that is set in a shell would make two equal
configurations run differently, and *stock* something that no other user gets. The environment of a
trial is therefore built from the names listed here and from the variables that its configuration
sets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

REMEDIES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "BLIS_ARCH_TYPE",
    "MKL_DEBUG_CPU_TYPE",
    "NVPL_BLAS_DEBUG_CPU_TYPE",
    "NPY_DISABLE_CPU_FEATURES",
)
"""Variables that users set where NumPy or a BLAS mistakes the processor for another: its kernels
then return wrong results or crash. One alone can do harm, so that all are passed on: the Haswell
kernels of OpenBLAS crash on a virtual machine that hides its caches unless the size of the L2 cache
is stated. They affect NumPy and SciPy only: XLA's programs, and with them every timed pass, use
neither."""

INHERITED = frozenset(
    {
        # Where a program finds its files, its user, and room to write.
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ"),
        *("LANG", "LANGUAGE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "HOSTNAME"),
        # Which Python packages are found and what is written next to them, but not how they run.
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH"),
        *("PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
        *("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE"),
        *REMEDIES,
        # Access to files that a model may have to download.
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
"""Names of the variables that a trial inherits."""

INHERITED_PREFIXES = ("LC_", "XDG_", "PERFKIT_", "SLURM_", "SLURMD_", "PBS_", "NIX_LD")
"""Prefixes of variables that a trial inherits: locale, folders, perfkit, batch systems."""

RECORDED = frozenset({*REMEDIES, "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"})
"""Inherited variables that a record states, because they decide which code runs."""

COMPILER_FAMILIES = (
    *("JAX_", "JAXLIB_", "XLA_", "PJRT_", "LIBTPU_", "TPU_", "TF_XLA_", "TF_CPP_", "TF_ENABLE_"),
    *("TF_DISABLE_", "TF_NUM_", "TF_USE_", "TF_FORCE_", "TF_DETERMINISTIC_", "TF_CUDNN_"),
    *("TF_GPU_", "TF_ONEDNN_", "ABSL_", "EIGEN_", "DNNL_", "ONEDNN_", "CUDA_", "ENABLE_PJRT_"),
    *("JAXTYPING_", "HAIKU_", "TOKAMAX_", "TRITON_", "AF3_", "BIOEMU2_", "IF2_", "WEATHERNEXT_"),
    *("MALLOC_", "GLIBC_", "JEMALLOC_", "TCMALLOC_", "MIMALLOC_", "LD_"),
)
"""Prefixes of variables that JAX, XLA, the models, the allocators or the loader read."""

LIBRARY_FAMILIES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "BLAS_", "NVPL_"),
    *("VECLIB_", "NUMEXPR_", "NPY_", "NUMBA_", "TBB_"),
    *("PYTHON", "ASAN_", "TSAN_", "UBSAN_", "LSAN_"),
)
"""Prefixes of variables that other numerical libraries and Python read, which affect the code
around a timed pass. No variable outside these two lists is ever recorded."""

SINGLE_NAMES = frozenset({"NPROC"})
"""Variables of the same effect without such a prefix: XLA's thread pool follows this one."""

HARMLESS = frozenset(
    # When Python flushes its output, and what an interactive session does.
    {"PYTHONUNBUFFERED", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONHISTORY"}
)
"""Variables with such a prefix that change no computation: trials drop them silently."""

SET_BY_JAX = {"TF_CPP_MIN_LOG_LEVEL": "1", "TPU_SKIP_MDS_QUERY": "1"}
"""Variables that ``import jax`` sets in its own process, which passes them on to every child.

A trial imports JAX too, and ends up with the same values.
"""

_SECRET = re.compile(r"TOKEN|SECRET|PASS|CREDENTIAL|AUTH|(^|_)KEY(_|$|S)")
_LOGIN = re.compile(r"(\w+://)[^/@\s]+@")

HIDDEN = "(not shown)"
"""Shown instead of a value that may be a secret."""


def inherited_variables(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of an environment that a trial inherits.

    Parameters
    ----------
    inherited
        The environment; that of this process by default.
    """
    base = os.environ if inherited is None else inherited
    return {
        name: value
        for name, value in base.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


def changes_computation(name: str, value: str) -> bool:
    """Whether a variable is known to change how a program computes."""
    if name in HARMLESS or SET_BY_JAX.get(name) == value:
        return False
    return name in SINGLE_NAMES or name.startswith((*COMPILER_FAMILIES, *LIBRARY_FAMILIES))


def redacted(name: str, value: str) -> str:
    """The value of a variable as it may be printed and recorded: without secrets and logins."""
    if _SECRET.search(name.upper()):
        return HIDDEN
    return _LOGIN.sub(r"\1", value)
