# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's backend tests through importer and interpreter (see onnx_cases.py), and the table against the onnx package."""

import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

TOOL = "permalloy-run-onnx-cases"
pytestmark = pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not on PATH")


def test_backend_cases():
    script = Path(__file__).with_name("onnx_cases.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]


def test_every_version_of_an_operator_has_been_reviewed():
    """A new opset may change the meaning of an operator: its row then says an older version than the onnx package has."""
    newest = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            newest[schema.name] = max(newest.get(schema.name, 0), schema.since_version)
    lines = subprocess.run([TOOL, "--list-ops"], check=True, capture_output=True, text=True).stdout
    for domain, op, first, reviewed, _ in map(str.split, lines.splitlines()):
        assert int(first) <= int(reviewed)
        if domain == "ai.onnx" and op in newest:
            assert int(reviewed) == newest[op], (
                f"{op}: reviewed up to {reviewed}, newest version is {newest[op]}"
            )


def test_the_page_of_operators_is_up_to_date():
    script = Path(__file__).parents[2] / "scripts" / "docs" / "onnx_ops.py"
    result = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
