# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the architectures as ONNX, through both of PyTorch's exporters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.export import Dim

from .architectures import wrapped

#: (model, flavour) of every file; dyn23 where opset 23's operators (Attention, RMSNormalization) matter.
FILES = [
    (name, flavour)
    for name in (
        "minilm", "bert", "vit", "whisper_enc", "gpt2_prefill", "gpt2_decode", "llama_prefill",
        "llama_decode", "mixtral_prefill_loop", "mixtral_prefill_bmm",
    )
    for flavour in ("ts17", "dyn18", "dyn23")
    if flavour != "dyn23" or name == "minilm" or name.startswith(("gpt2", "llama"))
]  # fmt: skip
# Layers, heads of keys and values, and their size.
_CACHES = {"gpt2": (12, 12, 64), "llama": (12, 4, 64), "mixtral": (6, 4, 64)}
_BATCH, _SEQUENCE, _PAST = 2, 9, 6  # of the example that is traced


@dataclass
class Interface:
    """Example inputs, names, and which dimensions are free, for both exporters."""

    arguments: tuple
    inputs: list[str]
    outputs: list[str]
    shapes: tuple  # torch.export's dynamic_shapes
    axes: dict[str, dict[int, str]] = field(default_factory=dict)  # TorchScript's dynamic_axes


def write(path: Path, name: str, flavour: str):
    """The file appears complete or not at all."""
    model, interface = wrapped(name).eval(), interface_of(name)
    opset, new = int(flavour[-2:]), path.with_suffix(".new")
    with torch.no_grad():
        if flavour.startswith("ts"):
            torch.onnx.export(
                model,
                interface.arguments,
                str(new),
                dynamo=False,
                opset_version=opset,
                input_names=interface.inputs,
                output_names=interface.outputs,
                dynamic_axes=interface.axes,
            )
        else:
            torch.onnx.export(
                model,
                interface.arguments,
                str(new),
                dynamo=True,
                opset_version=opset,
                input_names=interface.inputs,
                output_names=interface.outputs,
                dynamic_shapes=interface.shapes,
                external_data=False,
                verbose=False,
            )
    new.rename(path)


def interface_of(name: str) -> Interface:
    torch.manual_seed(1)
    kind = name.split("_")[0]
    if name in ("minilm", "bert"):
        return _text()
    if name == "vit":
        return _tensor("pixel_values", "logits", (_BATCH, 3, 224, 224))
    if name == "whisper_enc":
        return _tensor("input_features", "last_hidden_state", (_BATCH, 80, 3000))
    return _step(kind) if name.endswith("decode") else _prompt(kind)


def _tensor(input_name: str, output_name: str, shape) -> Interface:
    batch = Dim("batch", min=1, max=64)
    arguments, axes = (torch.randn(shape),), {input_name: {0: "batch"}}
    return Interface(arguments, [input_name], [output_name], ({0: batch},), axes)


def _text() -> Interface:
    free = {0: Dim("batch", min=1, max=64), 1: Dim("sequence", min=2, max=512)}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    arguments = (_ids(_SEQUENCE), _ones(_SEQUENCE), torch.zeros_like(_ids(_SEQUENCE)))
    return Interface(arguments, names, ["last_hidden_state"], (free, free, free), axes)


def _prompt(kind: str) -> Interface:
    free = {0: Dim("batch", min=1, max=64), 1: Dim("sequence", min=1, max=1024)}
    names = ["input_ids", "attention_mask"]
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    arguments = (_ids(_SEQUENCE), _ones(_SEQUENCE))
    return Interface(arguments, names, _outputs(kind), (free, free), axes)


def _step(kind: str) -> Interface:
    layers, heads, size = _CACHES[kind]
    new = _SEQUENCE - _PAST
    past = [torch.randn(_BATCH, heads, _PAST, size) for _ in range(2 * layers)]
    positions = torch.arange(_PAST, _SEQUENCE)[None].expand(_BATCH, new).contiguous()
    names = ["input_ids", "attention_mask", "position_ids", *_pairs("past_key_values", kind)]
    free, rows = {0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO, 2: Dim.AUTO}
    axes = {
        "input_ids": {0: "batch", 1: "sequence"},
        "attention_mask": {0: "batch", 1: "total"},
        "position_ids": {0: "batch", 1: "sequence"},
    } | {name: {0: "batch", 2: "past"} for name in names[3:]}
    return Interface(
        (_ids(new), _ones(_SEQUENCE), positions, *past),
        names,
        _outputs(kind),
        (free, free, free, tuple(rows for _ in past)),
        axes,
    )


def _ids(length: int):
    return torch.randint(5, 1000, (_BATCH, length), dtype=torch.int64)


def _ones(length: int):
    return torch.ones(_BATCH, length, dtype=torch.int64)


def _outputs(kind: str) -> list[str]:
    return ["logits", *_pairs("present", kind)]


def _pairs(prefix: str, kind: str) -> list[str]:
    return [f"{prefix}.{i}.{part}" for i in range(_CACHES[kind][0]) for part in ("key", "value")]
