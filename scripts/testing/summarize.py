#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sums the JUnit reports of several test runners: REPORTS/SUITE.xml for each SUITE.

A ctest entry that is a share of a GoogleTest program (permalloy_add_gtest in test/CMakeLists.txt) counts
as the tests in its own report, REPORTS/gtest/ENTRY.xml.

Lists failures, then skipped tests grouped by reason, then prints `N passed, N failed, N skipped` as
the last line. Exits 1 when something failed, when a report is missing or broken (counted as one
failure), or when nothing ran.
"""

import argparse
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path


def skip_reason(case, skipped):
    """Why a test was skipped, in its own words where it has some."""
    output = case.findtext("system-out") or ""
    # GoogleTest under ctest: the reason stands after `file:line: Skipped`.
    own = re.search(r": Skipped\n(.+)", output)
    reason = own.group(1) if own else skipped.get("message") or skipped.text or "no reason given"
    # In GoogleTest's own report it stands after `file:line`.
    return " ".join(re.sub(r"^\S+:\d+\n", "", reason).split())


def running(case):
    """The test that a GoogleTest process under ctest was in when it ended, in words."""
    output = case.findtext("system-out") or ""
    marks = re.findall(r"^\[ +(RUN|OK|FAILED|SKIPPED) +\] (\S+)", output, re.MULTILINE)
    return f"it ended in {marks[-1][1]}" if marks and marks[-1][0] == "RUN" else ""


def outcome(case):
    """-> ("passed" | "failed" | "skipped", detail) of one test case."""
    has_failed = any(case.find(tag) is not None for tag in ("failure", "error"))
    if has_failed or case.get("status") == "fail":
        return "failed", running(case)
    if case.get("result") == "suppressed":  # GoogleTest's, of a test that was not to run
        return "skipped", "disabled"
    skipped = case.find("skipped")
    if skipped is not None:
        # ctest says the same of a test whose program could not be started: that is a failure.
        if case.get("status") == "notrun" and "REGULAR_EXPRESSION" not in str(skipped.attrib):
            return "failed", "could not be started"
        return "skipped", skip_reason(case, skipped)
    return "passed", ""


def read(path):
    """The (name, outcome, detail) of every test of a report."""
    for case in ET.parse(path).getroot().iter("testcase"):
        # ctest gives the name twice, and GoogleTest adds an address to it.
        parts = dict.fromkeys((case.get("classname"), case.get("name")))
        name = "::".join(part for part in parts if part)
        result = name.split("  # GetParam()")[0], *outcome(case)
        if re.fullmatch(r".*\.\d+of\d+", name):
            yield from read_share(Path(path).with_name("gtest") / f"{name}.xml", result)
        else:
            yield result


def read_share(path, entry):
    """The tests of a share; `entry`, which is the process, besides when it failed and none of them."""
    try:
        tests = list(read(path))
    except (OSError, ET.ParseError):
        where = f", {entry[2]}" if entry[2] else ""
        yield entry[0], "failed", f"its process ended without a report{where}"
        return
    yield from tests
    if entry[1] == "failed" and all(result != "failed" for _, result, _ in tests):
        yield entry


def collect(reports, suites):
    """-> (counts, failures, {reason: names}) over all suites."""
    counts, failures, skipped = defaultdict(int), [], defaultdict(list)
    for suite in suites:
        try:
            results = list(read(Path(reports) / f"{suite}.xml"))
        except (OSError, ET.ParseError) as error:
            results = [("the whole suite", "failed", f"no usable report: {error}")]
        for name, result, detail in results:
            counts[result] += 1
            if result == "failed":
                failures.append(f"{suite}: {name}{': ' + detail if detail else ''}")
            elif result == "skipped":
                skipped[f"{suite}: {detail}"].append(name)
    return counts, failures, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports")
    parser.add_argument("suites", nargs="+")
    arguments = parser.parse_args()
    counts, failures, skipped = collect(arguments.reports, arguments.suites)
    for reason, names in sorted(skipped.items()):
        print(f"skipped {len(names)} ({reason}): {', '.join(names)}")
    for failure in failures:
        print(f"FAILED {failure}")
    if not sum(counts.values()):
        print("error: no test was found")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
