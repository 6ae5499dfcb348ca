# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What ELF files need: shared libraries, versions of the system's, and where libraries are looked for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

# The system's own on every Linux that a wheel's tag promises.
_SYSTEM = re.compile(r"^(linux-vdso|ld-linux-x86-64|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+))\.so")
# The glibc that came with the distributions whose libstdc++ has these symbols: PyPA's manylinux
# policies name no libstdc++ of their own.
_GLIBC_OF_GLIBCXX = [(29, 34), (30, 35), (32, 38), (33, 39)]


def output(*command) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(binary: Path) -> dict[str, Path]:
    """{soname: file} of all that the loader maps for a binary, the system's own left out."""
    found = {}
    for line in output("ldd", str(binary)).splitlines():
        match = re.match(r"\s*(\S+) => (\S+)", line)
        if not match or _SYSTEM.match(match[1]):
            continue
        if match[2] == "not":
            raise SystemExit(f"build-wheels: error: {binary} needs {match[1]}, which is not found")
        found[match[1]] = Path(match[2]).resolve()
    return found


def least_glibc(files: list[Path]) -> int:
    """The minor version of glibc 2 that the files need, counting the libstdc++ they need."""
    least = 17  # manylinux2014
    for file in files:
        text = output("readelf", "-VW", str(file))
        least = max([least, *(int(v) for v in re.findall(r"\bGLIBC_2\.(\d+)", text))])
        glibcxx = max([0, *(int(v) for v in re.findall(r"\bGLIBCXX_3\.4\.(\d+)", text))])
        for version, glibc in _GLIBC_OF_GLIBCXX:
            if glibcxx >= version:
                least = max(least, glibc)
    return least


def shorten_rpath(file: Path, rpath: str) -> None:
    """Keeps of a file's RPATH the first entry, which must be `rpath`."""
    data = file.read_bytes()
    match = re.search(re.escape(rpath.encode()) + rb"(:[^\0]*)?\0", data)
    if not match or "(RPATH)" not in output("readelf", "-dW", str(file)):
        raise SystemExit(f"build-wheels: error: {file} has no RPATH that begins with {rpath}")
    padding = match.end() - match.start() - len(rpath)
    file.write_bytes(data[: match.start()] + rpath.encode() + b"\0" * padding + data[match.end() :])
