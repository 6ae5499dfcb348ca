# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results as JSON files, one folder a kind of CPU; written after every row, so that a run that is
stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


class Results:
    """{"machine", "rows": {key: row}, ...} of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.data = json.loads(path.read_text()) if path.exists() else {"rows": {}}

    @property
    def rows(self) -> dict[str, dict]:
        return self.data["rows"]

    def has(self, key: str, version: str, pairs: int, peers: Iterable[str] = ()) -> bool:
        """Whether a row was measured by this version, with at least so many pairs, beside all of
        `peers` (names with or without a model file), timed or failed."""
        row = self.rows.get(key)
        if row is None or row.get("permalloy") != version or "error" in row:
            return False
        beside = {
            name.split("@")[0] for name, peer in row["peers"].items() if "earlier" not in peer
        }
        return row.get("pairs", 0) >= pairs and beside >= {name.split("@")[0] for name in peers}

    def add(self, key: str, row: dict):
        self.rows[key] = row
        self.write()

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(rounded(self.data), indent=1) + "\n")
        new.replace(self.path)


def rounded(value):
    """Five digits are more than any measurement has."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value
