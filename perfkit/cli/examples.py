"""Examples of each subcommand for its help."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": ("perfkit run --model af3 --input protein.json --model-dir weights --out predictions",),
    "tune": (
        "perfkit tune --model af3 --input protein.json --budget 1h",
        "perfkit tune --model gencast --resolution 2 --mesh 3",
    ),
    "recommend": ("perfkit recommend --model af3 --size 300 --preset-out preset.toml",),
    "knobs": ("perfkit knobs --model gencast",),
    "sweep": (
        "perfkit sweep --model af3 --sizes 32,64 --cpus 1,2 --knob allocator=glibc,jemalloc",
    ),
    "status": ("perfkit status sweep --watch",),
    "cancel": ("perfkit cancel sweep",),
    "profile": ("perfkit profile --model af3 --size 64 --observe xla",),
    "guard": (
        "perfkit guard --model gencast --resolution 4",
        "perfkit guard --model af3 --size 16 --locate",
    ),
    "doctor": ("perfkit doctor", "perfkit doctor --jaxlib 0.11.0,0.12.0.1"),
    "plan": (
        "perfkit plan --jobs queue.csv --machines machines.toml --fit fit.json --deadline 12h",
        "perfkit plan --here --size 200,400 --fit fit.json",
    ),
    "plan check": (
        "perfkit plan check perfkit-results/plan --records perfkit-results/plan",
        "perfkit plan check perfkit-results/plan --sacct jobs.txt --deadline 12h",
    ),
    "plan fit": ("perfkit plan fit --model af3 --held-out 80 --out fitted",),
    "plan table": (
        "perfkit plan table --model af3 --fit fit.json",
        "perfkit plan table --model gencast --fit fit.json --sizes 2,1 --machines machines.toml",
    ),
    "calibrate": ("perfkit calibrate --model af3", "perfkit calibrate --fit fit.json"),
    "compare": (
        "perfkit compare results/monday results/friday --html page.html",
        "perfkit compare --jaxlib 0.11.0 0.12.0.1 --model af3 --size 64",
    ),
    "report": (
        "perfkit report perfkit-results/tune-ubiquitin --html page.html",
        "perfkit report perfkit-results/tune-ubiquitin --bundle ubiquitin.zip",
    ),
    "exec": ("perfkit exec --preset preset.toml -- python run_alphafold.py --json_path=job.json",),
    "preset": ("perfkit preset show preset.toml --as slurm",),
    "completion": ('eval "$(perfkit completion bash)"', "perfkit completion fish | source"),
}
"""Command lines by subcommand."""


def example_text(prog: str) -> str:
    """The examples of ``perfkit COMMAND`` as lines; empty for a parser without any."""
    lines = EXAMPLES.get(prog.removeprefix("perfkit "), ())
    if not lines:
        return ""
    title = "example:" if len(lines) == 1 else "examples:"
    return "\n".join((title, *(f"  {line}" for line in lines)))
