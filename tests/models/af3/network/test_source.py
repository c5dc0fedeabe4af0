"""Which packages of AlphaFold 3 can have native kernels, from their sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from perfkit.models.af3.network.source import (
    BIAS,
    DIFFUSION_PARTS,
    PLACES,
    TEMPLATE_PART,
    TRUNK_PARTS,
    Part,
    parts_of,
    why_all_templates_in,
    why_no_kernels_in_network,
    why_not_in_folder,
)

SOURCE = '''
class Block(hk.Module):
  """A module of the network."""

  class Config(base_config.BaseConfig):
    num_head: int = 4

  def __init__(self, config, *, name):
    super().__init__(name=name)

  def __call__(self, act, mask, *rest, scale=1):
    act = hm.LayerNorm(name='act_norm')(act)
    q = hm.Linear((4, 8), use_bias=True, name='q_projection')(act)
    k = hm.Linear((4, 8), use_bias=False, name='k_projection')(act)
    return attention(q, k, name=self.name)


def transition(x, name=''):
  return hm.Linear(3, use_bias=with_bias, name=f'{name}ffw_projection')(x)


class Options:
  num_head: int = 4
'''


def test_arguments_names_and_biases_of_a_source() -> None:
    assert parts_of(SOURCE) == {
        "Block": Part(
            ("act", "mask", "scale", "rest"),
            frozenset({"act_norm", f"q_projection{BIAS}", "k_projection"}),
        ),
        # What decides on the bias is not known.
        "transition": Part(("x", "name"), frozenset({f"ffw_projection{BIAS}"})),
    }


def rendered(parts: Mapping[str, Part]) -> str:
    """A source with the parts: functions in lower case, classes in upper case."""
    text = ""
    for name, part in parts.items():
        calls = "    ...\n" + "".join(
            f"    make(name='{each.removesuffix(BIAS)}', use_bias={each.endswith(BIAS)})\n"
            for each in sorted(part.names)
        )
        if name[0].isupper():
            text += f"class {name}:\n  def __call__(self, {', '.join(part.arguments)}):\n{calls}\n"
        else:
            text += f"def {name}({', '.join(part.arguments)}):\n{calls}\n"
    return text


def package(folder: Path, trunk: str, diffusion: str) -> Path:
    """Write the two modules of a package's network."""
    network = folder / "model" / "network"
    network.mkdir(parents=True, exist_ok=True)
    (network / "modules.py").write_text(trunk)
    (network / "diffusion_transformer.py").write_text(diffusion)
    return folder


def test_a_network_with_all_parts_can_have_kernels(tmp_path: Path) -> None:
    trunk, diffusion = rendered(TRUNK_PARTS), rendered(DIFFUSION_PARTS)
    assert why_not_in_folder(package(tmp_path, trunk, diffusion)) is None


def test_a_network_with_places_can_have_kernels_whatever_its_parts_are(tmp_path: Path) -> None:
    places = "".join(f"\n{place} = None" for place in PLACES)
    assert why_not_in_folder(package(tmp_path, places, "")) is None
    reason = why_not_in_folder(package(tmp_path, places.replace("GLU", "SWISH"), ""))
    assert reason is not None
    assert "its get_shard_size in model/network/modules.py" in reason


@pytest.mark.parametrize("changed", ["names", "arguments"])
def test_the_first_part_that_differs_is_the_reason(tmp_path: Path, changed: str) -> None:
    stock = DIFFUSION_PARTS["self_attention"]
    more = {
        "names": dataclasses.replace(stock, names=stock.names | {"query_layer_norm"}),
        "arguments": dataclasses.replace(stock, arguments=(*stock.arguments, "rope")),
    }[changed]
    other = rendered({**DIFFUSION_PARTS, "self_attention": more})
    assert why_not_in_folder(package(tmp_path, rendered(TRUNK_PARTS), other)) == (
        "the installed alphafold3 has no places for kernels, and its self_attention in "
        "model/network/diffusion_transformer.py is not the one that perfkit's kernels replace"
    )


def test_a_network_that_cannot_be_read_is_a_reason(tmp_path: Path) -> None:
    reason = "model/network/modules.py of the installed alphafold3 cannot be read"
    assert why_not_in_folder(tmp_path) == reason
    assert why_not_in_folder(package(tmp_path, "def (", "")) == reason


@pytest.mark.skipif(find_spec("alphafold3") is None, reason="alphafold3 is not installed")
def test_the_installed_package_can_have_kernels() -> None:
    """DeepMind's package by its parts, ColabFold's build by its places."""
    assert why_no_kernels_in_network() is None


def test_deepmind_s_embedding_of_templates_is_known_by_its_arguments(tmp_path: Path) -> None:
    network = tmp_path / "model" / "network"
    network.mkdir(parents=True)
    source = network / "template_modules.py"
    assert "template_modules.py of the installed" in str(why_all_templates_in(tmp_path))
    source.write_text(rendered({"TemplateEmbedding": TEMPLATE_PART}))
    assert why_all_templates_in(tmp_path) is None
    more = dataclasses.replace(TEMPLATE_PART, arguments=(*TEMPLATE_PART.arguments, "use_dropout"))
    source.write_text(rendered({"TemplateEmbedding": more}))
    assert "has another TemplateEmbedding" in str(why_all_templates_in(tmp_path))
