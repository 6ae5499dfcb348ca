# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random cases of onnxruntime's attention operators: MultiHeadAttention, Attention and GroupQueryAttention of its CPU provider."""

import numpy as np
from contrib_cases import floats, maybe
from onnx import TensorProto
from opcase import Arg, Case

FLOAT = TensorProto.FLOAT


class Sizes:
    def __init__(self, rng):
        self.batch, self.queries = int(rng.integers(1, 4)), int(rng.integers(1, 6))
        self.heads, self.size = int(rng.integers(1, 5)), int(rng.choice([8, 16, 24]))
        self.value_size = self.size if rng.random() < 0.7 else self.size // 2
        self.past = 0

    @property
    def width(self):
        return self.heads * self.size

    def packed(self, rng, rows, width, symbol) -> Arg:
        return Arg(floats(rng, self.batch, rows, width), ("batch", symbol, None))

    def cache(self, rng, rows, size, symbol, heads=None) -> Arg:
        array = floats(rng, self.batch, heads or self.heads, rows, size)
        return Arg(array, ("batch", None, symbol, None))


def padding(rng, s: Sizes, keys: int, symbol: str, queries: int):
    """None, or lengths, or a mask of 0 and 1 of rank 2 or 3.

    Each query sees the first key: where all are hidden, weights come from -10000 + score, which f32 rounds to 1e-3.
    """
    kind = rng.integers(4)
    lengths = rng.integers(1, keys + 1, s.batch).astype(np.int32)
    if kind == 0:
        return Arg(lengths, ("batch",))
    mask = (rng.random((s.batch, keys)) < 0.7).astype(np.int32)
    mask[:, 0] = 1
    if kind == 1:
        return Arg(mask, ("batch", symbol))
    if kind == 2 and queries:
        mask = (rng.random((s.batch, queries, keys)) < 0.7).astype(np.int32)
        mask[:, :, 0] = 1
        return Arg(mask, ("batch", "queries", symbol))
    return None


def score_bias(rng, s: Sizes, keys: int, symbol: str):
    shape = [s.batch, s.heads, s.queries, keys]
    dims = ["batch", None, "queries", symbol]
    for axis in (0, 1):
        if rng.random() < 0.4:
            shape[axis], dims[axis] = 1, None
    return Arg(floats(rng, *shape), tuple(dims))


def common(rng, s: Sizes) -> dict:
    attributes = {"num_heads": s.heads}
    if rng.random() < 0.3:
        attributes["scale"] = float(rng.uniform(0.1, 0.6))
    if rng.random() < 0.3:
        attributes["mask_filter_value"] = float(rng.choice([-5.0, -100.0, -1e9]))
    return attributes


def multi_head(rng) -> Case:
    s = Sizes(rng)
    form = rng.choice(["self", "cross", "cross4", "past"])
    fresh = int(rng.integers(1, 7)) if form in ("cross", "cross4") else s.queries
    symbol = "keys" if form in ("cross", "cross4") else "queries"
    query = s.packed(rng, s.queries, s.width, "queries")
    attributes = common(rng, s)
    past_key = past_value = bias = None
    if form in ("cross4", "past"):
        s.value_size = s.size
    if form == "cross4":
        key, value = s.cache(rng, fresh, s.size, symbol), s.cache(rng, fresh, s.value_size, symbol)
    else:
        key = s.packed(rng, fresh, s.width, symbol)
        value = s.packed(rng, fresh, s.heads * s.value_size, symbol)
        bias = maybe(rng, Arg(floats(rng, 2 * s.width + s.heads * s.value_size)))
    keys = fresh
    if form == "past":
        s.past = int(rng.integers(1, 5))
        past_key = s.cache(rng, s.past, s.size, "past")
        past_value = s.cache(rng, s.past, s.value_size, "past")
        keys, symbol = fresh + s.past, "total"
    if form in ("self", "past") and rng.random() < 0.4:
        attributes["unidirectional"] = 1
    mask = padding(rng, s, keys, symbol, s.queries)
    added = maybe(rng, score_bias(rng, s, keys, symbol))
    present = form == "past" or (form == "self" and rng.random() < 0.3)
    outputs = (FLOAT, FLOAT, FLOAT) if present else (FLOAT,)
    if rng.random() < 0.3:
        outputs = (*outputs, *[None] * (3 - len(outputs)), FLOAT)
    inputs = [query, key, value, bias, mask, added, past_key, past_value]
    return Case("MultiHeadAttention", inputs, attributes, outputs)


def attention(rng) -> Case:
    s = Sizes(rng)
    width = 8 * int(rng.integers(1, 4))
    has_past = rng.random() < 0.5
    if has_past:
        s.value_size, s.past = s.size, int(rng.integers(1, 5))
    attributes = common(rng, s)
    sizes = [s.width, s.width, s.heads * s.value_size]
    if s.value_size != s.size:
        attributes["qkv_hidden_sizes"] = sizes
    if rng.random() < 0.4:
        attributes["unidirectional"] = 1
    keys, symbol = s.queries + s.past, "total" if has_past else "queries"
    past = None
    if has_past:
        past = Arg(
            floats(rng, 2, s.batch, s.heads, s.past, s.size), (None, "batch", None, "past", None)
        )
    mask = padding(rng, s, keys, symbol, s.queries)
    if mask is None and rng.random() < 0.3:  # the ends, then the starts
        starts = rng.integers(0, keys, s.batch) * (1 - attributes.get("unidirectional", 0))
        ends = [rng.integers(start + 1, keys + 1) for start in starts]
        mask = Arg(np.array([*ends, *starts], np.int32), (None,))
    inputs = [
        Arg(
            floats(rng, s.batch, s.queries, width),
            (
                None
                if mask is not None and mask.array.size == 2 * s.batch and mask.array.ndim == 1
                else "batch",
                "queries",
                None,
            ),
        ),
        *(
            Arg(0.3 * floats(rng, width, sum(sizes))),
            Arg(floats(rng, sum(sizes))),
        ),  # without it onnxruntime may crash
        *(mask, past, None if has_past else maybe(rng, score_bias(rng, s, keys, symbol))),
    ]
    present = has_past or (s.value_size == s.size and rng.random() < 0.3)
    return Case("Attention", inputs, attributes, (FLOAT, FLOAT) if present else (FLOAT,))


def group_query(rng) -> Case:
    s = Sizes(rng)
    groups = int(rng.choice([1, 2, 4]))
    kv = int(rng.integers(1, 3))
    s.heads, s.size, s.value_size = kv * groups, int(rng.choice([16, 32])), None
    form = rng.choice(["prompt", "prompt_past", "decode", "decode_buffer", "chunk"])
    if form == "chunk":
        s.batch = 1
    if form.startswith("decode"):
        s.queries = 1
    past = int(rng.integers(1, 6)) if form in ("decode", "decode_buffer", "chunk") else 0
    if form.startswith("prompt"):
        lengths = rng.integers(1, s.queries + 1, s.batch)
        lengths[rng.integers(s.batch)] = s.queries
    else:
        lengths = np.full(s.batch, past + s.queries)
        if form.startswith("decode"):
            lengths = rng.integers(s.queries + 1, past + s.queries + 1, s.batch)
            lengths[rng.integers(s.batch)] = past + s.queries
    total = int(lengths.max())
    room = past + int(rng.integers(1, 5)) if form == "decode_buffer" else past
    attributes = {"num_heads": s.heads, "kv_num_heads": kv}
    if rng.random() < 0.3:
        attributes["scale"] = float(rng.uniform(0.1, 0.6))
    if rng.random() < 0.3:
        attributes["softcap"] = float(rng.uniform(1, 10))
    if rng.random() < 0.3:
        attributes["local_window_size"] = int(rng.integers(1, 5))
    if rng.random() < 0.2:
        attributes["smooth_softmax"] = 1
    elif rng.random() < 0.1 and "local_window_size" not in attributes:
        attributes["causal"] = 0
    x = [s.packed(rng, s.queries, s.width, "queries"), None, None]
    if rng.random() < 0.5:
        x[1:] = [s.packed(rng, s.queries, kv * s.size, "queries") for _ in range(2)]
    else:
        x[0] = s.packed(rng, s.queries, (s.heads + 2 * kv) * s.size, "queries")
    caches = [None, None]
    if form != "prompt":
        symbol = "past" if rng.random() < 0.7 else None
        caches = [s.cache(rng, room, s.size, symbol, kv) for _ in range(2)]
    tables = [None, None]
    if rng.random() < 0.5:
        angles = floats(rng, 16, s.size // 2)
        tables = [Arg(np.cos(angles)), Arg(np.sin(angles))]
        attributes |= {"do_rotary": 1, "rotary_interleaved": int(rng.integers(2))}
    positions = added = sink = None
    if tables[0] is not None and rng.random() < 0.3:
        start = np.zeros(s.batch, int) if form.startswith("prompt") else lengths - s.queries
        positions = Arg(
            (start[:, None] + np.arange(s.queries)).astype(np.int64), ("batch", "queries")
        )
    if rng.random() < 0.3:
        added = score_bias(rng, s, total, "total")
        added = Arg(added.array, (*added.dims[:3], None))
    if "smooth_softmax" not in attributes and rng.random() < 0.2:
        sink = Arg(floats(rng, s.heads))
    inputs = [
        *(*x, *caches, Arg((lengths - 1).astype(np.int32), ("batch",))),
        *(Arg(np.array(total, np.int32), inline=True), *tables, positions, added, sink),
    ]
    # onnxruntime leaves garbage where a query stands behind the end of its sequence.
    valid = np.arange(s.queries) < lengths[:, None]
    if not form.startswith("prompt"):
        valid[:] = True
    outputs, keep = (FLOAT, FLOAT, FLOAT), {0: valid[:, :, None]}
    if rng.random() < 0.3 and valid.all():
        attributes["qk_output"] = int(rng.integers(1, 3))
        outputs = (FLOAT, FLOAT, FLOAT, FLOAT)
    return Case("GroupQueryAttention", inputs, attributes, outputs, keep=keep)


GENERATORS = {
    "multi_head_attention": multi_head,
    "attention": attention,
    "group_query_attention": group_query,
}
