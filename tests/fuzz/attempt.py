"""Uses a damaged file as perfkit would, and checks what every file has to leave intact."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perfkit.cli.main import main
from perfkit.errors import UserError
from perfkit.paths import cache_folder
from tests.fuzz.watch import watched

LONGEST_SENTENCE = 4000
"""Most characters of the sentence of a refusal."""

KEPT = b"a result of the user"

type Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class World:
    """The folders of an attempt.

    Attributes
    ----------
    inputs
        Folder of the files that are read.
    file
        The damaged file, in this folder or below it.
    out
        Folder that the attempt may write to. It holds an earlier result, which has to stay.
    """

    inputs: Path
    file: Path
    out: Path


type Use = Callable[[World], object]
"""Uses the file. It returns if the file is accepted, and raises ``UserError`` if not."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that perfkit reads.

    Attributes
    ----------
    name
        Name of the kind.
    file
        Name of the file, relative to the folder of the inputs.
    originals
        Contents of intact files.
    damage
        Damages a content.
    use
        Uses a file.
    draws
        Whether using a file draws a page, which takes a quarter of a second.
    """

    name: str
    file: str
    originals: tuple[bytes, ...]
    damage: Damage
    use: Use
    draws: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt.

    Attributes
    ----------
    sentence
        Sentence of the refusal; empty if the file was accepted.
    faults
        What must not happen, one text each.
    """

    sentence: str = ""
    faults: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """``accepted``, ``refused`` or ``fault``."""
        return "fault" if self.faults else "refused" if self.sentence else "accepted"


def damaged(kind: Kind, seed: str) -> bytes:
    """A damaged file of a kind; the same for the same seed."""
    chance = random.Random(seed)
    return kind.damage(chance.choice(kind.originals), chance)


def attempt(kind: Kind, content: bytes, folder: Path) -> Outcome:
    """Use a file of a kind in new folders below ``folder``, and check what it leaves."""
    inputs = folder / "inputs"
    world = World(inputs, inputs / kind.file, folder / "out")
    for path in (inputs, world.out, folder / "tmp"):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    world.file.parent.mkdir(parents=True, exist_ok=True)
    world.file.write_bytes(content)
    earlier = world.out / "earlier.txt"
    earlier.write_bytes(KEPT)
    sentence, faults = "", []
    # The intact files that complete an input are written by the attempt itself.
    allowed = [inputs, world.out, folder / "tmp", cache_folder()]
    with _below(folder / "tmp"), watched(allowed) as seen:
        try:
            kind.use(world)
        except UserError as error:
            sentence = str(error) or "an empty sentence"
            if not str(error):
                faults.append("a refusal without a sentence")
        except Exception:
            faults.append(traceback.format_exc(limit=-4))
    faults += seen
    if "\n" in sentence or len(sentence) > LONGEST_SENTENCE:
        faults.append(f"not one sentence: {sentence[:200]!r}")
    if world.file.read_bytes() != content or earlier.read_bytes() != KEPT:
        faults.append("a file of the user was changed")
    return Outcome(sentence, tuple(faults))


@contextlib.contextmanager
def _below(folder: Path) -> Iterator[None]:
    """Keep temporary files below a folder, and do not print warnings of libraries."""
    before, place = tempfile.tempdir, Path.cwd()
    tempfile.tempdir = str(folder)
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tempfile.tempdir = before
        os.chdir(place)


def command(*words: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command of perfkit in this process, and return what it prints.

    Parameters
    ----------
    *words
        Command line after ``perfkit``.
    codes
        Exit codes other than 2 that the command may end with.

    Raises
    ------
    UserError
        The command ended with exit code 2; the message is its last line.
    """
    printed, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        code = main(list(words))
    lines = complaint.getvalue().splitlines()
    if code == UserError.exit_code:
        if sum(line.startswith("perfkit: ") for line in lines) != 1:
            raise AssertionError(f"not one sentence: {lines}")
        raise UserError(lines[-1])
    if code not in codes:
        raise AssertionError(f"exit code {code}: {lines}")
    return printed.getvalue()
