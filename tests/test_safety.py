"""No source here can run what a file of data says: checked on the syntax tree, aliases followed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "models", "baselines", "tests", "asv_bench")
ALLOWED = {
    ("tests/test_documents.py", "exec"): "runs the plug-in that the README shows",
    ("tests/test_documents.py", "compile"): "the same",
}
CODE_IN_DATA = (
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
)
XML = ("xml", "lxml", "expat", "pyexpat")
NETWORK = ("requests", "urllib", "urllib3", "httpx", "aiohttp", "http.client", "ftplib")
MAY_DOWNLOAD = "bench/assets.py"
BUILTINS = ("eval", "exec", "compile", "__import__")
NEVER = (
    *("torch.hub", "torch.package", "torch.jit.load", "torch.utils.model_zoo"),
    *("pandas.read_pickle", "pandas.read_xml", "shutil.unpack_archive", "tempfile.mktemp"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("asyncio.create_subprocess_shell", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"),
    *(f"builtins.{name}" for name in BUILTINS),
)
CONDITIONAL = ("torch.load", "yaml.load", "numpy.load")
"""Allowed in one form only, so nothing but a plain call of them is."""
METHODS = ("to_pickle", "read_pickle", "extractall")
SAFE_LOADERS = ("yaml.SafeLoader", "yaml.CSafeLoader")


class Checker(ast.NodeVisitor):
    """Collects what a module must not do."""

    def __init__(self, where: str):
        self.where = where
        self.aliases: dict[str, str] = {}
        self.called: set[int] = set()
        self.found: list[tuple[int, str]] = []

    def check(self, tree: ast.Module) -> list[tuple[int, str]]:
        for node in ast.walk(tree):
            self._learn(node)
        self.visit(tree)
        return self.found

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for name in node.names:
                bound = name.asname or name.name.partition(".")[0]
                self.aliases[bound] = name.name if name.asname else bound
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for name in node.names:
                self.aliases[name.asname or name.name] = f"{node.module}.{name.name}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            meant = self.dotted(node.value)
            if meant and meant.partition(".")[0] in ("torch", "numpy", "yaml", "pandas", "os"):
                self.aliases.setdefault(node.targets[0].id, meant)

    def dotted(self, node: ast.AST) -> str:
        """Return "torch.load" for what stands for it, an empty text for anything else."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def refuse(self, node: ast.AST, what: str) -> None:
        if (node.lineno, what) not in self.found:
            self.found.append((node.lineno, what))

    def _module(self, node: ast.AST, name: str) -> None:
        for banned in (*CODE_IN_DATA, *XML, *NETWORK, "torch.hub", "torch.package"):
            if name == banned or name.startswith(banned + "."):
                if banned not in NETWORK or self.where != MAY_DOWNLOAD:
                    self.refuse(node, banned)

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self._module(node, name.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names if not node.level else ():
            self._module(node, f"{node.module}.{name.name}")
            if f"{node.module}.{name.name}" in NEVER:
                self.refuse(node, f"{node.module}.{name.name}")

    def visit_Name(self, node: ast.Name) -> None:
        self._reference(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._reference(node)
        self.generic_visit(node)

    def _reference(self, node: ast.Name | ast.Attribute) -> None:
        meant = self.dotted(node)
        if isinstance(node, ast.Name) and node.id in BUILTINS and node.id not in self.aliases:
            self.refuse(node, node.id)
        if any(meant == banned or meant.startswith(f"{banned}.") for banned in NEVER):
            self.refuse(node, meant)
        if meant in CONDITIONAL and id(node) not in self.called and isinstance(node.ctx, ast.Load):
            self.refuse(node, f"{meant} under another name")

    def visit_Call(self, node: ast.Call) -> None:
        self.called.add(id(node.func))
        meant = self.dotted(node.func)
        given = {word.arg: word.value for word in node.keywords}
        self._readers(node, meant, given)
        if "shell" in given and not _is(given["shell"], False):
            self.refuse(node, "shell=True")
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            filtered = given.get("filter")
            if not (isinstance(filtered, ast.Constant) and filtered.value in ("data", "tar")):
                self.refuse(node, node.func.attr)
        if meant in ("importlib.import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self._module(node, name.value)
        self.generic_visit(node)

    def _readers(self, node: ast.Call, meant: str, given: dict[str | None, ast.expr]) -> None:
        if meant == "torch.load" and not _is(given.get("weights_only"), True):
            self.refuse(node, "torch.load without weights_only=True")
        if meant == "yaml.load" and self.dotted(given.get("Loader")) not in SAFE_LOADERS:
            self.refuse(node, "yaml.load without a safe loader")
        pickles = node.args[2] if meant == "numpy.load" and len(node.args) > 2 else None
        for value in (given.get("allow_pickle"), pickles):
            if value is not None and not _is(value, False):
                self.refuse(node, "allow_pickle")
        if meant == "numpy.load" and None in given:
            self.refuse(node, "numpy.load with **")


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def refused(text: str, where: str = "bench/any.py") -> list[tuple[int, str]]:
    return Checker(where).check(ast.parse(text))


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((HOME / folder).rglob("*.py"))


def test_no_source_runs_what_data_say():
    found, used = [], set()
    for path in sources():
        where = path.relative_to(HOME).as_posix()
        for line, what in refused(path.read_text(), where):
            if (where, what) in ALLOWED:
                used.add((where, what))
            else:
                found.append(f"{where}:{line}: {what}")
    assert not found, "\n".join(found)
    assert used == ALLOWED.keys(), "an exception that nothing needs any more"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((f"import {name}", name) for name in CODE_IN_DATA),
        ("import pickle as p", "pickle"),
        ("from pickle import loads", "pickle"),
        ("def f():\n    import marshal", "marshal"),
        ("import importlib\nimportlib.import_module('pickle')", "pickle"),
        ("__import__('os')", "__import__"),
        ("import torch\ntorch.load('x')", "torch.load without weights_only=True"),
        ("import torch as t\nt.load('x')", "torch.load without weights_only=True"),
        ("from torch import load\nload('x')", "torch.load without weights_only=True"),
        ("from torch import load as l\nl(x, weights_only=False)", "torch.load without weights_"),
        ("import torch\ntorch.load('x', weights_only=flag)", "torch.load without weights_only"),
        ("import torch\nt = torch\nt.load('x')", "torch.load without weights_only=True"),
        ("import torch\nread = torch.load", "torch.load under another name"),
        ("import torch\ntorch.hub.load('x', 'y')", "torch.hub"),
        ("from torch import hub", "torch.hub"),
        ("from torch.hub import load", "torch.hub"),
        ("eval('1')", "eval"),
        ("run = exec", "exec"),
        ("compile('1', 'x', 'eval')", "compile"),
        ("import builtins\nbuiltins.eval('1')", "builtins.eval"),
        ("import yaml\nyaml.load(x)", "yaml.load without a safe loader"),
        ("import yaml\nyaml.load(x, Loader=yaml.Loader)", "yaml.load without a safe loader"),
        ("from yaml import unsafe_load", "yaml.unsafe_load"),
        ("import numpy as n\nn.load(x, allow_pickle=True)", "allow_pickle"),
        ("import numpy as n\nn.load(x, None, True)", "allow_pickle"),
        ("import numpy\nnumpy.load(x, allow_pickle=flag)", "allow_pickle"),
        ("from numpy import load\nload(x, allow_pickle=1)", "allow_pickle"),
        ("import numpy as np\nnp.load(x, **options)", "numpy.load with **"),
        ("import numpy as np\nread = np.load", "numpy.load under another name"),
        ("import pandas as pd\npd.read_pickle(x)", "pandas.read_pickle"),
        ("frame.to_pickle(x)", "to_pickle"),
        ("import subprocess as s\ns.run(x, shell=True)", "shell=True"),
        ("from subprocess import Popen\nPopen(x, shell=flag)", "shell=True"),
        ("import os\nos.system(x)", "os.system"),
        ("from os import system", "os.system"),
        ("from os import popen as p\np(x)", "os.popen"),
        ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp"),
        ("archive.extractall(x)", "extractall"),
        ("archive.extractall(x, filter='fully_trusted')", "extractall"),
        ("import shutil\nshutil.unpack_archive(x)", "shutil.unpack_archive"),
        ("import xml.etree.ElementTree as tree", "xml"),
        ("from lxml import etree", "lxml"),
        ("import requests", "requests"),
        ("from urllib.request import urlopen", "urllib"),
    ],
)
def test_each_banned_form_is_found(text, what):
    found = [word for _, word in refused(text)]
    assert any(word.startswith(what) for word in found), found


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.load(x, weights_only=True)",
        "from safetensors.torch import load\nload(x)",
        "import numpy as np\nnp.load(x)\nnp.load(x, mmap_mode='r', allow_pickle=False)",
        "network.eval()\nself.eval().requires_grad_(False)",
        "import re\nre.compile('a')",
        "from re import compile\ncompile('a')",
        "import yaml\nyaml.safe_load(x)\nyaml.load(x, Loader=yaml.SafeLoader)",
        "import subprocess\nsubprocess.run([x], shell=False)",
        "archive.extractall(x, filter='data')",
        "import tempfile\ntempfile.mkstemp()",
        "import json\njson.load(x)",
        "requests = queue.SimpleQueue()\nrequests.get()",
        "import torch\nx = torch.zeros(1)\nx.load",
    ],
)
def test_what_is_harmless_passes(text):
    assert refused(text) == []


def test_only_one_module_may_download():
    assert refused("import urllib.request", "bench/assets.py") == []
    assert refused("import pickle", "bench/assets.py") == [(1, "pickle")]
