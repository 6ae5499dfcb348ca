# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The encoder in plain numpy, float64 inside: what every spelling must compute."""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _layer_norm(x, weights, name, eps):
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return normal * weights[name + ".weight"] + weights[name + ".bias"]


def _linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def _gelu(x, form):
    if form == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _softmax(scores, keep, masked_row):
    """Rows of `scores` over the keys that `keep`; see Options.masked_row for rows without any."""
    some = keep.any(-1, keepdims=True)
    scores = np.where(keep, scores, -np.inf)
    scores = np.where(some, scores, 0)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    rows = powers / powers.sum(-1, keepdims=True)
    return rows if masked_row == "uniform" else np.where(some, rows, 0)


def _attention(x, weights, layer, mask, config, masked_row):
    batch, sequence, hidden = x.shape

    def heads(name):
        projected = _linear(x, weights, f"{layer}.attention.self.{name}")
        split = projected.reshape(batch, sequence, config.num_attention_heads, config.head_size)
        return split.transpose(0, 2, 1, 3)

    query, key, value = heads("query"), heads("key"), heads("value")
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(config.head_size)
    context = _softmax(scores, mask[:, None, None, :] != 0, masked_row) @ value
    merged = context.transpose(0, 2, 1, 3).reshape(batch, sequence, hidden)
    return _linear(merged, weights, f"{layer}.attention.output.dense")


def forward(config, weights, feed, gelu="erf", masked_row="zero"):
    """last_hidden_state [batch, sequence, hidden] in float64 for the feed of `verify.feeds`."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    eps = config.layer_norm_eps
    ids, types = feed["input_ids"], feed["token_type_ids"]
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.token_type_embeddings.weight"][types]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = _layer_norm(x, weights, "embeddings.LayerNorm", eps)
    for index in range(config.num_hidden_layers):
        layer = f"encoder.layer.{index}"
        y = _attention(x, weights, layer, feed["attention_mask"], config, masked_row)
        x = _layer_norm(x + y, weights, f"{layer}.attention.output.LayerNorm", eps)
        y = _gelu(_linear(x, weights, f"{layer}.intermediate.dense"), gelu)
        y = _linear(y, weights, f"{layer}.output.dense")
        x = _layer_norm(x + y, weights, f"{layer}.output.LayerNorm", eps)
    return x
