# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a session says of its model: NodeArg and ModelMetadata."""

from __future__ import annotations

from .dtypes import type_text
from .unsupported import Listed


class NodeArg(Listed):
    """An input or output: `name`, `type` ("tensor(float)"), `shape` (sizes, or symbols as text)."""

    def __init__(self, name: str, number: int, shape: list[int | str]):
        self.name = name
        self.type = type_text(number)
        self.shape = shape
        self._number = number

    def __repr__(self):
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


class ModelMetadata(Listed):
    """What the .onnx file says of itself."""

    def __init__(self, values: dict[str, str]):
        self.producer_name = values["producer_name"]
        self.graph_name = values["graph_name"]
        self.graph_description = values["graph_description"]
        self.domain = values["domain"]
        self.description = values["description"]
        self.version = int(values["version"])
        prefix = "custom."
        self.custom_metadata_map = {
            key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)
        }
