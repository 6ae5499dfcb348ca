# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every public name of onnxruntime's is there or refused by name, as docs/onnxruntime.md says."""

import ast
import importlib.util
from pathlib import Path

import pytest

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    pytest.importorskip("onnxruntime")
    path = ROOT / "scripts/docs/onnxruntime_api.py"
    spec = importlib.util.spec_from_file_location("onnxruntime_api", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_name_is_there_or_refused(generator):
    wrong = [f"{row.name}: {row.problem}" for row in generator.rows() if row.problem]
    assert not wrong


def test_refusals_are_names_of_onnxruntimes(generator):
    names = {row.name for row in generator.rows()}
    tables = (permalloy.unsupported.REFUSED, permalloy.unsupported.NO_EFFECT)
    listed = {
        f"{owner}.{name}".lstrip(".")
        for table in tables
        for owner in table
        for name in table[owner]
    }
    assert listed <= names, "listed, but not in onnxruntime"


def test_the_document_is_up_to_date(generator):
    assert (ROOT / "docs/onnxruntime.md").read_text() == generator.document(), (
        "run scripts/docs/onnxruntime_api.py > docs/onnxruntime.md"
    )


def test_exceptions_stand_where_programs_import_them_from():
    onnxruntime = pytest.importorskip("onnxruntime")
    from permalloy.capi import onnxruntime_pybind11_state as ours

    theirs = onnxruntime.capi.onnxruntime_pybind11_state
    names = {
        name
        for name in dir(theirs)
        if isinstance(getattr(theirs, name), type) and issubclass(getattr(theirs, name), Exception)
    }
    assert names <= set(ours.__all__)
    for name in ours.__all__:
        assert issubclass(getattr(ours, name), permalloy.Error)


def test_the_native_modules_stub_is_true():
    from permalloy import _native

    stub = ast.parse((ROOT / "python/permalloy/_native.pyi").read_text())
    declared = {
        node.name for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    assert declared == {name for name in dir(_native) if not name.startswith("_")}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            members = {
                getattr(item, "name", None) or item.target.id
                for item in node.body
                if not getattr(item, "name", "").startswith("_")
            }
            real = {name for name in dir(getattr(_native, node.name)) if not name.startswith("_")}
            assert members == real, node.name
