# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operations and bytes that a case cannot do without: what its times are divided by."""

from __future__ import annotations

from .cases import Case

# Of a weight; int4: with a scale in f16 for 32 of them.
_BYTES = {"f32": 4, "bf16": 2, "int8": 1, "int4": 0.5 + 2 / 32, "w8a8": 1}
# Convolutions before the encoder's layers: 3000 frames of 80 channels, then every second of 384, kernels of 3.
_AUDIO_FRAMES, _AUDIO_CHANNELS, _AUDIO_KERNEL = 3000, 80, 3
_IMAGE_CHANNELS, _PATCH = 3, 16


def flops(case: Case) -> float:
    """Of all products, two for each multiplication; attention counted in full (not halved for being
    causal), padding not at all."""
    model = case.model
    lengths = case.lengths or (case.sequence,) * case.batch
    tokens = sum(lengths)
    attention = sum(4.0 * n * (n + case.past) * model.hidden for n in lengths)
    active = model.experts_used or 1
    layer = _attention_weights(case) + active * _feed_forward_weights(case) + _router_weights(case)
    total = model.layers * (2.0 * tokens * layer + attention)
    total += 2.0 * tokens * model.hidden * model.vocabulary
    total += 2.0 * case.batch * model.hidden * model.classes
    if model.inputs == "image":
        total += 2.0 * case.batch * (case.sequence - 1) * _patch_weights(case)
    if model.inputs == "audio":
        kernel = _AUDIO_KERNEL * model.hidden
        total += 2.0 * case.batch * _AUDIO_FRAMES * kernel * _AUDIO_CHANNELS
        total += 2.0 * case.batch * case.sequence * kernel * model.hidden
    return total


def weight_bytes(case: Case, precision: str) -> float:
    """Of the weights that one run must read: all but gathered tables and experts without tokens."""
    model = case.model
    experts = model.experts or 1
    if experts > 1:
        experts = min(experts, case.batch * case.sequence * model.experts_used)
    layer = _attention_weights(case) + experts * _feed_forward_weights(case) + _router_weights(case)
    weights = model.layers * layer + model.hidden * (model.vocabulary + model.classes)
    if model.inputs == "image":
        weights += _patch_weights(case)
    return float(weights) * _BYTES[precision]


def cache_bytes(case: Case) -> float:
    """Of past keys and values, which keep the model's type: f32."""
    return 4.0 * 2 * case.model.layers * case.batch * case.past * case.model.kv_width


def bytes_read(case: Case, precision: str) -> float:
    """Weights and cache."""
    return weight_bytes(case, precision) + cache_bytes(case)


def is_memory_bound(case: Case) -> bool:
    """Whether a row is judged by GB/s."""
    return case.model.inputs == "step"


def _attention_weights(case: Case) -> int:
    return 2 * case.model.hidden * (case.model.hidden + case.model.kv_width)


def _feed_forward_weights(case: Case) -> int:
    return (3 if case.model.gated else 2) * case.model.hidden * case.model.feed_forward


def _router_weights(case: Case) -> int:
    return case.model.hidden * case.model.experts


def _patch_weights(case: Case) -> int:
    return _IMAGE_CHANNELS * _PATCH * _PATCH * case.model.hidden
