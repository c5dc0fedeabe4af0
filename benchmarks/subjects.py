"""The models as the benchmarks measure them: two small sizes each."""

from benchmarks.trials import HERE, Subject

AF3 = Subject(
    model="af3",
    inputs={16: {"size": 16}, 32: {"size": 32}},
    # A protein that fills its bucket: a stock bucket starts at 128 tokens, half a minute a pass.
    base={"bucket": "exact"},
    preset=HERE.parent / "reports" / "af3-ubiquitin" / "preset.toml",
)

GENCAST = Subject(
    model="gencast",
    inputs={10: {"resolution": 10, "mesh": 1}, 6: {"resolution": 6, "mesh": 2}},
    preset=HERE / "presets" / "gencast.toml",
)
