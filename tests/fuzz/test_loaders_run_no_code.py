"""No call in perfkit, the benchmarks or the scripts can run code or a shell that a file names.

The calls are found in the syntax trees, so that a new one fails here before it is ever reached.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("perfkit", "benchmarks", "scripts")
SOURCES = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))

FORBIDDEN = {
    "eval", "exec", "compile", "__import__",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "joblib.load", "marshal.load", "marshal.loads",
    "shelve.open", "pd.read_pickle", "pandas.read_pickle", "torch.load",
    "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.UnsafeLoader",
    "runpy.run_path", "runpy.run_module", "code.interact", "tempfile.mktemp",
    "shutil.unpack_archive", "jinja2.Template",
}  # fmt: skip
"""Functions that run code or a shell, unpickle, or unpack to any path."""

FORBIDDEN_METHODS = {"extractall", "eval_js"}
"""Methods that write to the paths that an archive names."""

SHELLS = {"sh", "bash", "dash", "zsh", "/bin/sh", "/bin/bash"}


def _name(node: ast.expr) -> str:
    """``a.b.c`` of a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _name(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name -> full name of what ``from MODULE import NAME`` imports."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
        for alias in node.names
    }


def _keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _runs_a_string_in_a_shell(call: ast.Call) -> bool:
    """Whether the words of a call begin with a shell and ``-c``."""
    for argument in call.args:
        words = argument.elts if isinstance(argument, ast.List | ast.Tuple) else []
        texts = [word.value for word in words if isinstance(word, ast.Constant)]
        if texts[:1] and texts[0] in SHELLS and "-c" in texts:
            return True
    return False


def faults_in(source: str) -> Iterator[str]:
    """Yield the line and the name of each call that is not allowed."""
    tree = ast.parse(source)
    imported = _imported(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        first, dot, rest = name.partition(".")
        name = f"{imported[first]}{dot}{rest}" if first in imported else name
        keywords = _keywords(node)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in FORBIDDEN or method in FORBIDDEN_METHODS:
            yield f"{node.lineno}: {name or method}"
        is_process = name.startswith("subprocess.")
        if is_process and "shell" in keywords and not _is(keywords["shell"], False):
            yield f"{node.lineno}: shell={ast.unparse(keywords['shell'])}"
        if name in ("np.load", "numpy.load") and not _is(keywords.get("allow_pickle"), False):
            yield f"{node.lineno}: np.load without allow_pickle=False"
        elif "allow_pickle" in keywords and not _is(keywords["allow_pickle"], False):
            yield f"{node.lineno}: allow_pickle"
        if name == "jinja2.Environment" and not _is(keywords.get("autoescape"), True):
            yield f"{node.lineno}: a template without autoescape"
        if is_process and _runs_a_string_in_a_shell(node):
            yield f"{node.lineno}: a shell with -c"


def test_no_call_runs_code_or_a_shell_that_a_file_may_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in SOURCES
        for fault in faults_in(path.read_text(encoding="utf-8"))
    ]
    assert len(SOURCES) > 300
    assert found == []


def test_the_pages_switch_escaping_off_only_for_perfkits_own_texts() -> None:
    """``Markup`` marks what is not escaped: the scripts and figures of Plotly, and the styles."""
    users = [path for path in SOURCES if "markupsafe" in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(ROOT)) for path in users] == ["perfkit/report/page.py"]
    templates = sorted((ROOT / "perfkit").rglob("*.j2"))
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape false" not in text


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "from pickle import load as read\nread(stream)",
        "import pickle\npickle.loads(data)",
        "import yaml\nyaml.load(text)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import subprocess\nsubprocess.run(['sh', '-c', text])",
        "from jinja2 import Environment\nEnvironment(loader=loader)",
        "import zipfile\nzipfile.ZipFile(path).extractall()",
        "os.system(text)",
    ],
)
def test_a_call_that_may_run_code_is_found(source: str) -> None:
    assert len(list(faults_in(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile(text)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['sh', script])",
        "import yaml\nyaml.safe_load(text)",
        "compiled = lowered.compile()",
    ],
)
def test_other_calls_are_allowed(source: str) -> None:
    assert list(faults_in(source)) == []
