# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Licences of bundled libraries, from the Debian packages that they are of."""

from __future__ import annotations

import subprocess
from pathlib import Path

from elf import output


def package_of(library: Path) -> tuple[str, str]:
    """The Debian package and version that a library is of."""
    # dpkg knows /lib/... for what stands in /usr/lib/... by now.
    for path in (str(library), str(library).removeprefix("/usr")):
        answer = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            package = answer.stdout.split(":")[0]
            return package, output("dpkg-query", "-W", "-f=${Version}", package)
    raise SystemExit(f"build-wheels: error: {library} is of no Debian package: no licence known")


def copyright_of(package: str) -> str:
    """The package's copyright file."""
    path = Path("/usr/share/doc") / package / "copyright"
    if not path.exists():
        raise SystemExit(f"build-wheels: error: {path} is missing: no licence of {package} known")
    return path.read_text(errors="replace")


def notice(bundled: dict[str, Path], head: str) -> tuple[str, dict[str, str]]:
    """The text of NOTICE, and {file name: text} of the licences that it refers to."""
    lines, texts = [head], {}
    for soname, library in sorted(bundled.items()):
        package, version = package_of(library)
        texts[f"{package}.txt"] = copyright_of(package)
        size = library.stat().st_size / 1e6
        lines.append(f"{soname} ({size:.1f} MB), Debian package {package} {version}: {package}.txt")
    return "\n".join(lines) + "\n", texts
