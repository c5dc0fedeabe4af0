"""Parts of the documentation that are generated from the code; MkDocs calls this module as a hook.

A line of a page that holds nothing but ``{{ NAME ARGUMENT }}`` is replaced: see :data:`PARTS`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from perfkit.cli.main import COMMANDS, main
from perfkit.diagnose.advisories import ADVISORIES
from perfkit.packages import Version

ROOT = Path(__file__).parents[1]

_PLACE = re.compile(r"^\{\{ (\w+) ?(.*?) \}\}$", re.MULTILINE)

_LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


def on_page_markdown(markdown: str, **options: Any) -> str:
    """Fill the generated parts in; MkDocs calls this for each page."""
    return _PLACE.sub(lambda found: PARTS[found[1]](found[2]), markdown)


def described(owner: type) -> dict[str, str]:
    """Descriptions of attributes by name, from the numpydoc section *Attributes* of a class."""
    doc = inspect.cleandoc(owner.__doc__ or "")
    _, _, section = doc.partition("Attributes\n----------\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            if not re.fullmatch(r"\w+(, \w+)*", line):
                break
            names = line.split(", ")
        else:
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    # Roles of Sphinx have no meaning in Markdown.
    return {name: re.sub(r":\w+:`([^`]+)`", r"`\1`", text) for name, text in found.items()}


def fields(argument: str) -> str:
    """Table of the fields of a pydantic model: name, type, default and description.

    Parameters
    ----------
    argument
        Path of the model, and optionally that of a class that describes equally named attributes.
    """
    model, *others = (_imported(path) for path in argument.split())
    if not issubclass(model, BaseModel):
        raise TypeError(f"{model} has no fields")
    texts = {name: text for owner in (*others, model) for name, text in described(owner).items()}
    rows = []
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "required" if default is PydanticUndefined else f"`{_text(default)}`"
        rows.append(
            (f"`{field.alias or name}`", f"`{_type(field.annotation)}`", shown, texts.get(name, ""))
        )
    return _table(("key", "type", "default", "meaning"), rows)


def command(argument: str) -> str:
    """Help of a command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main([*argument.split(), "--help"])
    return f"```text\n{output.getvalue().strip()}\n```"


def commands(argument: str) -> str:
    """Help of all commands, each under a heading."""
    names = [*COMMANDS, "plan check", "plan fit", "plan table", "compare --jaxlib"]
    return "\n\n".join(f"## perfkit {name}\n\n{command(name)}" for name in sorted(names))


def advisories(argument: str) -> str:
    """Known faults of jaxlib."""
    rows = [
        (_versions(each.first, each.last), each.fault, each.reference, each.remedy)
        for each in ADVISORIES
    ]
    return _table(("jaxlib", "fault", "reference", "remedy"), rows)


def document(argument: str) -> str:
    """Text of a Markdown file of the repository; its links lead to the pages of their files."""
    text = (ROOT / argument).read_text(encoding="utf-8")
    return _LINK.sub(lambda found: f"]({_page(argument, found[1])})", text)


PARTS: dict[str, Callable[[str], str]] = {
    "fields": fields,
    "command": command,
    "commands": commands,
    "advisories": advisories,
    "document": document,
}
"""Generated parts by name; each takes the text behind its name."""

PAGES = {
    "reports/README.md": "reports.md",
    "reports/knobs-by-machine/README.md": "knobs-by-machine.md",
    "reports/exec/exec.md": "exec.md",
    "reports/jaxlib/README.md": "which-jaxlib.md",
    "reports/capacity/af3/table.md": "capacity-af3.md",
    "reports/capacity/af3-fit/from-smaller.md": "capacity-af3-accuracy.md",
    "reports/capacity/af3-fit/from-smaller-128.md": "capacity-af3-accuracy.md",
    "reports/capacity/af3-elsewhere/elsewhere.md": "capacity-af3-elsewhere.md",
    "reports/capacity/gencast/table.md": "capacity-gencast.md",
    "reports/kernel-shapes/256.md": "kernel-shapes-256.md",
    "reports/kernel-shapes/76.md": "kernel-shapes-76.md",
    "reports/stability/README.md": "stability.md",
    "reports/drill/README.md": "drill-slurm.md",
    "reports/drill/fault-drill.md": "drill-faults.md",
    "reports/drill/fuzz.md": "drill-files.md",
    "docs/faults.md": "faults.md",
    "docs/how-to-add.md": "how-to-add.md",
    "docs/method.md": "method.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "LICENSE": "license.md",
}
"""Page of each file that other files refer to."""


def _page(source: str, target: str) -> str:
    """The page that a link of a file leads to."""
    path, _, anchor = target.partition("#")
    file = (ROOT / source).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
    return PAGES[file] + (f"#{anchor}" if anchor else "")


def _imported(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _type(annotation: Any) -> str:
    """A type as a reader of a file understands it."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    # Bounds of types and modules of names are details of the code.
    text = re.sub(r"\b\w+(?:\.\w+)*\.(?=\w)", "", text).replace("NoneType", "None")
    if optional := re.fullmatch(r"Optional\[(?:Annotated\[)?([\w\[\]]+?)(?:, .*)?\]", text):
        return f"{optional[1]} | None"
    return re.sub(r"Annotated\[([^\[\],]+), .*\]", r"\1", text)


def _text(default: object) -> str:
    """A default; the fields of a model have their own in its table."""
    if default is None or isinstance(default, BaseModel):
        return "none"
    return str(default.value) if isinstance(default, Enum) else repr(default).replace("'", '"')


def _versions(first: Version | None, last: Version | None) -> str:
    ends = [".".join(map(str, each)) for each in (first, last) if each is not None]
    return " to ".join(dict.fromkeys(ends)) or "all"


def _table(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(_lines(headers, rows))


def _lines(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{'---|' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
