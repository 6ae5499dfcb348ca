# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/testing/summarize.py counts what the runners report."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/testing/summarize.py"
REPORT = """<testsuites><testsuite>
<testcase name="a" status="run"/><testcase name="b"><failure>no</failure></testcase>
<testcase name="c"><skipped message="needs avx512f"/></testcase>
<testcase name="d" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
<system-out>x.cpp:1: Skipped
no second CPU
</system-out></testcase>
<testcase name="e" status="notrun"><skipped message=""/></testcase>
</testsuite></testsuites>"""


def summarize(folder, *suites):
    result = subprocess.run(
        [sys.executable, SCRIPT, folder, *suites], capture_output=True, text=True, check=False
    )
    return result.returncode, result.stdout.splitlines()


def test_counts_and_reasons(tmp_path):
    (tmp_path / "lit.xml").write_text(REPORT)
    code, lines = summarize(tmp_path, "lit")
    assert code == 1 and lines[-1] == "1 passed, 2 failed, 2 skipped"
    assert "skipped 1 (lit: needs avx512f): c" in lines
    assert "skipped 1 (lit: no second CPU): d" in lines
    assert "FAILED lit: e: could not be started" in lines


def test_missing_report_fails(tmp_path):
    (tmp_path / "lit.xml").write_text('<testsuites><testcase name="a"/></testsuites>')
    code, lines = summarize(tmp_path, "lit", "ctest")
    assert code == 1 and lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_no_test_at_all_fails(tmp_path):
    (tmp_path / "lit.xml").write_text("<testsuites/>")
    code, lines = summarize(tmp_path, "lit")
    assert code == 1 and lines[-1] == "0 passed, 0 failed, 0 skipped"
