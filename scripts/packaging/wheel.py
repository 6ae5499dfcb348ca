# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a wheel: a zip with metadata and hashes (PEP 427), the same bytes for the same input."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

# The earliest time that a zip can hold: wheels do not say when they were made.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass
class Wheel:
    """`files` maps names in the wheel to files; `texts` names in .dist-info to their contents."""

    name: str
    version: str
    tag: str
    summary: str
    requires: list[str]
    files: dict[str, Path]
    texts: dict[str, str] = field(default_factory=dict)
    description: str = ""

    def write(self, folder: Path) -> Path:
        stem = f"{self.name.replace('-', '_')}-{self.version}"
        path, info = folder / f"{stem}-{self.tag}.whl", f"{stem}.dist-info"
        record = []
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:

            def add(name: str, data: bytes, executable: bool = False):
                entry = zipfile.ZipInfo(name, _TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o100755 if executable else 0o100644) << 16
                archive.writestr(entry, data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
                record.append(f"{name},sha256={digest.decode()},{len(data)}")

            for name, file in sorted(self.files.items()):
                add(name, file.read_bytes(), executable="/bin/" in name)
            for name, text in sorted(self._info().items()):
                add(f"{info}/{name}", text.encode())
            record.append(f"{info}/RECORD,,")
            entry = zipfile.ZipInfo(f"{info}/RECORD", _TIME)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, "\n".join(record) + "\n")
        return path

    def _info(self) -> dict[str, str]:
        pure = "false" if self.files else "true"
        wheel = (
            "Wheel-Version: 1.0\nGenerator: permalloy build-wheels\n"
            f"Root-Is-Purelib: {pure}\nTag: {self.tag}\n"
        )
        return {"METADATA": self._metadata(), "WHEEL": wheel, **self.texts}

    def _metadata(self) -> str:
        lines = [
            "Metadata-Version: 2.4",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Summary: {self.summary}",
            "License-Expression: Apache-2.0 WITH LLVM-exception",
            *(
                f"License-File: {name.removeprefix('licenses/')}"
                for name in sorted(self.texts)
                if name.startswith("licenses/")
            ),
            "Requires-Python: >= 3.9",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
            "Description-Content-Type: text/markdown",
        ]
        return "\n".join(lines) + "\n\n" + self.description
