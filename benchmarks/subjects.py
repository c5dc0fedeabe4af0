"""The models as the benchmarks measure them, at two small sizes each."""

from benchmarks.trials import HERE, Subject

AF3 = Subject(
    model="af3",
    inputs={16: {"size": 16}, 32: {"size": 32}},
    # The protein fills its bucket. The smallest stock bucket, 128 tokens, takes half a minute per
    # pass.
    base={"bucket": "exact"},
    preset=HERE.parent / "reports" / "af3-ubiquitin" / "preset.toml",
)

GENCAST = Subject(
    model="gencast",
    inputs={10: {"resolution": 10, "mesh": 1}, 6: {"resolution": 6, "mesh": 2}},
    preset=HERE / "presets" / "gencast.toml",
)
