"""The programs that users of each model run themselves, for examples of commands."""

from __future__ import annotations

OWN_SCRIPTS = {
    "af3": "python run_alphafold.py --json_path=input.json --model_dir=models --output_dir=output "
    "--jax_backend=cpu --flash_attention_implementation=xla",
    "gencast": "python forecast.py",
}
"""Name of the model -> a command with placeholders. DeepMind's program ends with an error on a CPU
unless both its backend and its attention are chosen. GenCast is published without a program of its
own, so that the name of the script is an example."""


def own_script(model: str) -> str | None:
    """The command of the model's own program; None for a model of another package."""
    return OWN_SCRIPTS.get(model)
