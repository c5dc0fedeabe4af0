"""Which packages an environment with another jaxlib needs of its own, and which it can share."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from perfkit.records.machine import MODEL_PACKAGES

JAX_PACKAGES = ("jaxlib", "jax")
"""Packages that are always installed. Every release of jaxlib has a jax of the same number, which
is the one that labs pin with it."""

JAX_EXTRA = "jax"
"""Extra by which some packages state the JAX that they work with, e.g. ``dm-haiku[jax]``."""


def distributions_by_name(
    distributions: Iterable[metadata.Distribution],
) -> dict[str, metadata.Distribution]:
    """Distributions by normalised name; of several with one name the first, which is imported."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in distributions:
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(canonicalize_name(name), distribution)
    return found


def requirements(jaxlib: str, installed: Iterable[metadata.Distribution]) -> list[str]:
    """What an environment with this jaxlib has to install.

    Parameters
    ----------
    jaxlib
        Version of jaxlib, and of jax.
    installed
        Distributions of the running environment.

    Returns
    -------
    list of str
        jax and jaxlib at the version, then the installed packages that do not work with it, in
        alphabetical order: the installer chooses a version that does. Packages of models, and
        packages that come from no registry, are shared in any case: a registry may offer others
        under their names.
    """
    pinned = [f"{name}=={jaxlib}" for name in JAX_PACKAGES]
    unfit = []
    for name, distribution in sorted(distributions_by_name(installed).items()):
        shared = name in MODEL_PACKAGES or distribution.read_text("direct_url.json") is not None
        if name in JAX_PACKAGES or shared:
            continue
        extras = {extra for extra, asked in _asked_of_jax(distribution) if jaxlib not in asked}
        if extras:
            unfit.append(f"{name}[{JAX_EXTRA}]" if JAX_EXTRA in extras else name)
    return [*pinned, *unfit]


def _asked_of_jax(distribution: metadata.Distribution) -> list[tuple[str, _Versions]]:
    """Extra (empty for none) and versions of each requirement on jax or jaxlib that applies."""
    found = []
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            # Metadata of old packages: pip ignores such a line, too.
            continue
        if canonicalize_name(requirement.name) not in JAX_PACKAGES:
            continue
        for extra in ("", JAX_EXTRA):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                found.append((extra, _Versions(requirement)))
                break
    return found


class _Versions:
    """The versions that a requirement allows.

    Parameters
    ----------
    requirement
        The requirement.
    """

    def __init__(self, requirement: Requirement) -> None:
        self._allowed = requirement.specifier

    def __contains__(self, version: str) -> bool:
        return self._allowed.contains(version, prereleases=True)
