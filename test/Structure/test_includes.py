# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The sources include only what docs/architecture.md allows."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"Artifact", "Runtime", "Support", "Solvers", "Search"}
FOREIGN = re.compile(r'[<"](?:llvm|mlir|google/protobuf|onnx)[/-]')
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])', re.MULTILINE)


def allowed():
    """{folder: folders it may include}, from the document."""
    text = (ROOT / "docs/architecture.md").read_text()
    block = re.search(r"```includes\n(.*?)```", text, re.DOTALL).group(1)
    graph = {}
    for line in block.splitlines():
        folder, _, others = line.partition(":")
        graph[folder.strip()] = {folder.strip(), *others.split()}
    return graph


def sources():
    """Pairs of (folder, file) for all sources that the graph speaks of."""
    for base in ("dialects", "include/permalloy", "lib"):
        for folder in sorted((ROOT / base).iterdir()):
            if folder.is_dir():
                for file in sorted(folder.rglob("*")):
                    if file.suffix in (".h", ".cpp", ".td"):
                        yield folder.name, file


def included_folder(include, dialects):
    """The project folder that an include names, or None for a foreign or local file."""
    parts = include.strip('<>"').split("/")
    if parts[0] == "permalloy" and len(parts) > 2:
        return parts[1]
    if parts[0] == "permalloy-c":
        return "Runtime"
    return parts[0] if parts[0] in dialects else None


def violations():
    graph, dialects = allowed(), {path.name for path in (ROOT / "dialects").iterdir()}
    for folder, file in sources():
        where = file.relative_to(ROOT)
        if folder not in graph:
            yield f"{where}: folder {folder} is not listed in docs/architecture.md"
            continue
        for include in INCLUDE.findall(file.read_text()):
            other = included_folder(include, dialects)
            if other and other not in graph[folder]:
                yield f"{where}: includes {include}, but {folder} may not use {other}"
            if folder in PLAIN and FOREIGN.match(include):
                yield f"{where}: includes {include}, but {folder} is plain C++"


def test_graph_has_no_cycle():
    seen = set()
    for folder, others in allowed().items():
        assert others - {folder} <= seen, f"{folder} names a folder listed after it"
        seen.add(folder)


def test_includes_follow_the_graph():
    found = sorted(set(violations()))
    assert not found, "\n".join(found)
