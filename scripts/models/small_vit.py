# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small vision transformer with random weights, as ONNX and in numpy, there also with token merging.

The numpy forward pass is written from Bolya et al., Token Merging (2023), not from the compiler: `forward` takes the number of
tokens that each block merges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Config:
    width: int = 64
    heads: int = 4
    layers: int = 4
    patch: int = 12  # numbers of a patch
    patches: int | None = 48  # None: any number, without positions
    classes: int = 10
    class_token: bool = True
    output: str = "class"  # or "tokens" or "mean"


def weights(config: Config, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by name; keys and queries are large enough that attention is not flat."""
    random = np.random.default_rng(seed)
    width, result = config.width, {}

    def normal(name, *shape, scale):
        result[name] = (random.standard_normal(shape) * scale).astype(np.float32)

    normal("embed", config.patch, width, scale=config.patch**-0.5)
    tokens = (config.patches or 0) + config.class_token
    if config.class_token:
        normal("class", 1, 1, width, scale=1)
    if config.patches:
        normal("positions", 1, tokens, width, scale=0.5)
    for layer in range(config.layers):
        for name in ("query", "key", "value", "out"):
            normal(f"{layer}.{name}", width, width, scale=width**-0.5)
            normal(f"{layer}.{name}_bias", width, scale=0.1)
        normal(f"{layer}.up", width, 2 * width, scale=width**-0.5)
        normal(f"{layer}.down", 2 * width, width, scale=(2 * width) ** -0.5)
        for name in ("norm1", "norm2"):
            result[f"{layer}.{name}"] = 1 + 0.1 * random.standard_normal(width).astype(np.float32)
    normal("head", width, config.classes, scale=width**-0.5)
    return {name: value.astype(np.float32) for name, value in result.items()}


def model(config: Config, values: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The model: "patches" [batch, n, patch] to "logits"."""
    nodes, constants, count = [], dict(values), 0

    def op(kind, *inputs, **attributes):
        nonlocal count
        count += 1
        name = f"{kind.lower()}_{count}"
        nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(name, value, kind=np.int64):
        constants[name] = np.array(value, kind)
        return name

    heads, size, zero = config.heads, config.width // config.heads, "zeros"
    constant(zero, np.zeros(config.width), np.float32)
    split = constant("split", [0, 0, heads, size])
    join = constant("join", [0, 0, config.width])
    scale = constant("scale", size**-0.5, np.float32)
    x = op("MatMul", "patches", "embed")
    if config.class_token:
        batch = op("Shape", "patches", start=0, end=1)
        shape = op("Concat", batch, constant("one_token", [1, config.width]), axis=0)
        x = op("Concat", op("Expand", "class", shape), x, axis=1)
    if config.patches:
        x = op("Add", x, "positions")
    for i in range(config.layers):
        n = op("LayerNormalization", x, f"{i}.norm1", zero, epsilon=1e-6)
        parts = []
        for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            y = op("Add", op("MatMul", n, f"{i}.{name}"), f"{i}.{name}_bias")
            parts.append(op("Transpose", op("Reshape", y, split), perm=order))
        scores = op("Softmax", op("Mul", op("MatMul", parts[0], parts[1]), scale), axis=-1)
        a = op("Reshape", op("Transpose", op("MatMul", scores, parts[2]), perm=[0, 2, 1, 3]), join)
        x = op("Add", x, op("Add", op("MatMul", a, f"{i}.out"), f"{i}.out_bias"))
        h = op("Gelu", op("MatMul", op("LayerNormalization", x, f"{i}.norm2", zero, epsilon=1e-6), f"{i}.up"))
        x = op("Add", x, op("MatMul", h, f"{i}.down"))
    if config.output == "class":
        x = op("Gather", x, constant("first", 0), axis=1)
    elif config.output == "mean":
        x = op("ReduceMean", x, constant("tokens_axis", [1]), keepdims=0)
    nodes.append(helper.make_node("MatMul", [x, "head"], ["logits"], name="head"))
    patches = config.patches or "n"
    result = ["batch", config.classes]
    if config.output == "tokens":
        result.insert(1, patches + config.class_token if config.patches else "m")
    graph = helper.make_graph(
        nodes,
        "small_vit",
        [helper.make_tensor_value_info("patches", TensorProto.FLOAT, ["batch", patches, config.patch])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


#: ----------------------------------------------------------------------------------------------
#: numpy


def _norm(x, scale):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * scale


def _gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def match(metric: np.ndarray, remove: int, protected: int) -> np.ndarray:
    """Bipartite soft matching of one sequence: [n, size] -> the new position of each token."""
    metric = metric / np.linalg.norm(metric, axis=-1, keepdims=True)
    n = len(metric)
    remove = min(remove, (n - protected) // 2)
    even, odd = np.arange(protected, n)[np.arange(protected, n) % 2 == 0], np.arange(protected, n)
    odd = odd[odd % 2 == 1]
    scores = metric[even] @ metric[odd].T
    best, target = scores.max(1, initial=-np.inf), scores.argmax(1) if len(odd) else even
    gone = np.argsort(-best, kind="stable")[:remove]
    stays = np.setdiff1d(np.arange(len(even)), gone)
    place = np.empty(n, np.int64)
    place[:protected] = np.arange(protected)
    place[even[stays]] = protected + np.arange(len(stays))
    place[odd] = protected + len(stays) + np.arange(len(odd))
    place[even[gone]] = place[odd[target[gone]]]
    return place


def forward(config, values, patches, schedule=None, protected=None, count_sizes=True, score="tome") -> np.ndarray:
    """Logits of patches [batch, n, patch] in double; `schedule` is the number of tokens that each block merges, those with
    the most similar keys ("tome") or values ("values")."""
    protected = int(config.class_token) if protected is None else protected
    schedule = schedule or [0] * config.layers
    return np.stack([_one(config, values, p, schedule, protected, count_sizes, score) for p in patches])


def _one(config, values, patches, schedule, protected, count_sizes, score):
    w = {name: value.astype(np.float64) for name, value in values.items()}
    heads, size = config.heads, config.width // config.heads
    x = patches.astype(np.float64) @ w["embed"]
    if config.class_token:
        x = np.concatenate([w["class"][0], x])
    if config.patches:
        x = x + w["positions"][0]
    sizes, places = np.ones(len(x)), np.arange(len(x))
    for i in range(config.layers):
        n = _norm(x, w[f"{i}.norm1"])
        q, k, v = (
            (n @ w[f"{i}.{part}"] + w[f"{i}.{part}_bias"]).reshape(-1, heads, size).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) * size**-0.5 + (np.log(sizes) if count_sizes else 0)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        a = (scores / scores.sum(-1, keepdims=True)) @ v
        x = x + a.transpose(1, 0, 2).reshape(len(x), -1) @ w[f"{i}.out"] + w[f"{i}.out_bias"]
        if schedule[i]:
            metric = k.mean(0) if score == "tome" else v.transpose(1, 0, 2).reshape(len(x), -1)
            place = match(metric, schedule[i], protected)
            merged, total = np.zeros((place.max() + 1, config.width)), np.zeros(place.max() + 1)
            np.add.at(merged, place, x * sizes[:, None])
            np.add.at(total, place, sizes)
            x, sizes, places = merged / total[:, None], total, place[places]
        h = _gelu(_norm(x, w[f"{i}.norm2"]) @ w[f"{i}.up"])
        x = x + h @ w[f"{i}.down"]
    if config.output == "class":
        x = x[0]
    elif config.output == "mean":
        x = (x * sizes[:, None]).sum(0) / sizes.sum()
    else:
        x = x[places]
    return x @ w["head"]
