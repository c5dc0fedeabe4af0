"""The kernels that perfkit has."""

from __future__ import annotations

from perfkit.kernels.kernel import Kernel

KERNELS: tuple[Kernel, ...] = ()
"""All kernels. One library holds them."""
