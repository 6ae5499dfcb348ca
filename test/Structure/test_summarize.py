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


SHARE = """<testsuites><testsuite>
<testcase name="x" classname="T" status="run" result="completed"/>
<testcase name="y" classname="T" status="run" result="completed"><failure message="1 is not 2"/></testcase>
<testcase name="z" classname="T" status="run" result="skipped"><skipped message="t.cpp:1&#x0A;needs amx&#x0A;"/></testcase>
<testcase name="DISABLED_w" classname="T" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""


def test_shares_count_as_their_tests(tmp_path):
    cases = "".join(f'<testcase name="P.{n}of4" status="{s}"/>' for n, s in enumerate(["run", "fail", "fail", "run"], 1))
    (tmp_path / "ctest.xml").write_text(f'<testsuite><testcase name="c" status="run"/>{cases}</testsuite>')
    (tmp_path / "gtest").mkdir()
    passed = '<testsuites><testcase name="x" classname="T"/></testsuites>'
    for name, text in (("P.1of4", passed), ("P.2of4", SHARE), ("P.3of4", passed)):
        (tmp_path / "gtest" / f"{name}.xml").write_text(text)
    code, lines = summarize(tmp_path, "ctest")
    assert code == 1 and lines[-1] == "4 passed, 3 failed, 2 skipped"
    assert "skipped 1 (ctest: disabled): T::DISABLED_w" in lines
    assert "skipped 1 (ctest: needs amx): T::z" in lines and "FAILED ctest: T::y" in lines
    assert "FAILED ctest: P.3of4" in lines  # its process failed behind the tests
    assert "FAILED ctest: P.4of4: its process ended without a report" in lines


def test_the_test_that_ended_a_share_is_named(tmp_path):
    output = "[==========] Running 2 tests\n[ RUN      ] T.a\n[       OK ] T.a (0 ms)\n[ RUN      ] T.b/3\nsegmentation"
    (tmp_path / "ctest.xml").write_text(
        f'<testsuite><testcase name="P.1of1" status="fail"><failure/><system-out>{output}</system-out></testcase></testsuite>'
    )
    _, lines = summarize(tmp_path, "ctest")
    assert "FAILED ctest: P.1of1: its process ended without a report, it ended in T.b/3" in lines


def test_missing_report_fails(tmp_path):
    (tmp_path / "lit.xml").write_text('<testsuites><testcase name="a"/></testsuites>')
    code, lines = summarize(tmp_path, "lit", "ctest")
    assert code == 1 and lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_no_test_at_all_fails(tmp_path):
    (tmp_path / "lit.xml").write_text("<testsuites/>")
    code, lines = summarize(tmp_path, "lit")
    assert code == 1 and lines[-1] == "0 passed, 0 failed, 0 skipped"
