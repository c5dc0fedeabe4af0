"""The kinds of files that the models read: inputs, weights, structures."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from perfkit.diagnose.locate.record import find_record, locate_in_record
from perfkit.diagnose.locate.workload import SearchResult
from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.models.af3.chemistry.biotite_dictionary import refuse_unknown
from perfkit.models.af3.chemistry.components import ccd_for, components_needed
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.inputs.fold_input import load_fold_input
from perfkit.models.af3.inputs.several import each_input
from perfkit.models.af3.weights import real_parameters
from perfkit.models.gencast.inputs.checkpoint import load_checkpoint
from perfkit.models.gencast.inputs.dataset import read_example
from perfkit.models.gencast.inputs.sources import sources_from
from perfkit.models.gencast.inputs.statistics import load_statistics
from perfkit.models.gencast.task import TaskConfig
from perfkit.records.store import read_records
from tests.fuzz.attempt import Kind, World, command
from tests.fuzz.damage import damaged_bytes, damaged_json, damaged_text
from tests.fuzz.netcdf_damage import damaged_archive, damaged_netcdf
from tests.support.mutations import thinned
from tests.support.structure import MODEL

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd

DATA = Path(__file__).parents[1] / "data"
AF3, GENCAST = DATA / "af3", DATA / "gencast"

FASTA = (
    b">A|protein\nMKTAYIAK\n>B|dna\nGATTACA\n",
    b">dimer\nGSAKLVEE:PVLSCGEW\n",
    b">strand, RNA\nGAUUACA\n",
)

SERVER_JOBS = [
    {
        "name": "job",
        "modelSeeds": ["1"],
        "sequences": [
            {"proteinChain": {"sequence": "MKTAYIAK", "count": 2}},
            {"ion": {"ion": "MG", "count": 1}},
        ],
        "dialect": "alphafoldserver",
        "version": 1,
    }
]

ALIGNED = {
    "dialect": "alphafold3",
    "version": 3,
    "name": "aligned",
    "modelSeeds": [1],
    "sequences": [
        {
            "protein": {
                "id": "A",
                "sequence": "MQIFV",
                "unpairedMsaPath": "msa.a3m",
                "pairedMsa": "",
                "templates": [
                    {
                        "mmcifPath": "template.cif",
                        "queryIndices": [0, 1, 2],
                        "templateIndices": [0, 1, 2],
                    }
                ],
            }
        }
    ],
}
MSA = b">query\nMQIFV\n>a hit\nMQ-FV\n>another\nMkQIFV\n"


@functools.cache
def _ccd() -> Any:
    # Building a dictionary per input would dominate the time.
    return ccd_for(load_fold_input(AF3 / "holo.json")[0])


def _dictionary(fold_input: Input) -> Ccd:
    refuse_unknown(components_needed(fold_input), _ccd())
    found: Ccd = _ccd()
    return found


def _load(path: Path) -> None:
    for options in each_input({"input": str(path)}):
        job = options.get("job")
        fold_input, notices = load_fold_input(
            path, job=None if job is None else str(job), dictionary_for=_dictionary
        )
        assert all("\n" not in notice for notice in notices)
        assert "/" not in file_name(fold_input.name)
        count_tokens(fold_input, _dictionary)


def _use_fold_input(world: World) -> None:
    _load(world.file)


def _use_aligned(world: World) -> None:
    for name, content in (
        ("input.json", json.dumps(ALIGNED).encode()),
        ("msa.a3m", MSA),
        ("template.cif", (AF3 / "template.cif").read_bytes()),
    ):
        if world.file.name != name:
            (world.inputs / name).write_bytes(content)
    _load(world.inputs / "input.json")


def _use_structures(world: World) -> None:
    other = world.inputs / "b" / "seed-2_sample-0"
    other.mkdir(parents=True, exist_ok=True)
    (other / "model.cif").write_text(MODEL)
    command(
        "compare", str(world.inputs / "a"), str(world.inputs / "b"), "--structures", codes=(0, 1)
    )


@functools.cache
def _weights() -> bytes:
    """Two parameters and the identifier in upstream's format."""
    from alphafold3.model import params

    rng = np.random.default_rng(0)
    return b"".join(
        params.encode_record(scope, name, array)
        for scope, name, array in (
            ("diffuser/left", "weights", rng.standard_normal((8, 4)).astype(np.float32)),
            ("diffuser/norm", "scale", np.ones(5, np.float32)),
            ("__meta__", "__identifier__", np.arange(8, dtype=np.uint8)),
        )
    )


def _damaged_packed(data: bytes, chance: random.Random) -> bytes:
    """Damage weights before or after they are packed."""
    if chance.random() < 0.5:
        return damaged_bytes(data, chance)
    plain = zstandard.ZstdDecompressor().decompress(data)
    return zstandard.ZstdCompressor().compress(damaged_bytes(plain, chance))


def _use_weights(world: World) -> None:
    real_parameters(world.inputs, float32=True)


def _use_dataset(world: World) -> None:
    read_example(world.file, TaskConfig())
    sources_from({"input": str(world.file)})


def _use_statistics(world: World) -> None:
    for path in (GENCAST / "data").glob("*_by_level.nc"):
        if path.name != world.file.name:
            (world.inputs / path.name).write_bytes(path.read_bytes())
    load_statistics(world.inputs, TaskConfig())


def _use_checkpoint(world: World) -> None:
    load_checkpoint(world.file)


def _locate(*given: object) -> SearchResult:
    raise UserError("the search itself is not part of an attempt")


def _use_record(world: World) -> None:
    """What ``perfkit guard --locate --record`` does up to the search."""
    for record in read_records(world.inputs):
        try:
            locate_in_record(find_record(world.inputs, record.id), _locate)
        except UserError as error:
            if "the search itself" not in str(error):
                raise


def _record() -> bytes:
    text = (DATA.parents[1] / "reports" / "gencast-1deg" / "records-vm.jsonl").read_text("utf-8")
    data = thinned(json.loads(text.splitlines()[0]))
    return json.dumps({**data, "stages": data["stages"][:1]}).encode()


def model_kinds() -> tuple[Kind, ...]:
    """The kinds."""
    folds = tuple((AF3 / f"{n}.json").read_bytes() for n in ("holo", "homodimer", "nucleoprotein"))
    server = json.dumps(SERVER_JOBS, indent=1).encode()
    template = (AF3 / "template.cif").read_bytes()
    packed = zstandard.ZstdCompressor().compress(_weights())
    checkpoint = (GENCAST / "fixtures" / "tiny_checkpoint.npz").read_bytes()
    text: Callable[[bytes, random.Random], bytes] = damaged_text
    return (
        Kind("fold input", "input.json", folds, damaged_json, _use_fold_input),
        Kind("server jobs", "input.json", (server,), damaged_json, _use_fold_input),
        Kind("FASTA", "input.fasta", FASTA, text, _use_fold_input),
        Kind(
            "aligned fold input",
            "input.json",
            (json.dumps(ALIGNED, indent=1).encode(),),
            damaged_json,
            _use_aligned,
        ),
        Kind("MSA", "msa.a3m", (MSA,), text, _use_aligned),
        Kind("template", "template.cif", (template,), text, _use_aligned),
        Kind("structure", "a/seed-1_sample-0/model.cif", (MODEL.encode(),), text, _use_structures),
        Kind("weights", "af3.bin", (_weights(),), damaged_bytes, _use_weights),
        Kind("packed weights", "af3.bin.zst", (packed,), _damaged_packed, _use_weights),
        Kind(
            "atmosphere",
            "input.nc",
            ((GENCAST / "data" / "A.nc").read_bytes(),),
            damaged_netcdf,
            _use_dataset,
        ),
        Kind(
            "statistics",
            "mean_by_level.nc",
            ((GENCAST / "data" / "mean_by_level.nc").read_bytes(),),
            damaged_netcdf,
            _use_statistics,
        ),
        Kind("record", "records-host-1.jsonl", (_record(),), damaged_json, _use_record),
        Kind("checkpoint", "checkpoint.npz", (checkpoint,), damaged_archive, _use_checkpoint),
    )
