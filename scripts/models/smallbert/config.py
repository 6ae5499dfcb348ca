# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Size, weights and spelling options of an encoder."""

from dataclasses import dataclass

import numpy as np

SPELLINGS = ("plain17", "ts17", "dyn18", "dyn23")


@dataclass(frozen=True)
class Config:
    """Size of an encoder; the names are those of BERT's config.json."""

    hidden_size: int = 32
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    intermediate_size: int = 128
    vocab_size: int = 67
    max_position_embeddings: int = 48
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12

    def __post_init__(self):
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden size {self.hidden_size} is not divisible by "
                f"{self.num_attention_heads} heads"
            )

    @property
    def head_size(self):
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class Options:
    """How the model is written. The defaults are what the imitated exporter does."""

    spelling: str = "plain17"
    layer_norm: str = (
        "op"  # op | decomposed (ReduceMean ... Add) | function (model-local, decomposed)
    )
    gelu: str = "erf"  # erf | tanh; tanh changes what is computed
    linear: str = "matmul"  # matmul (MatMul, Add) | gemm (2-D, transB = 1, between two Reshapes)

    def __post_init__(self):
        accepted = {
            "spelling": SPELLINGS,
            "layer_norm": ("op", "decomposed", "function"),
            "gelu": ("erf", "tanh"),
            "linear": ("matmul", "gemm"),
        }
        for option, values in accepted.items():
            value = getattr(self, option)
            if value not in values:
                raise ValueError(f"{option} is '{value}', accepted: {', '.join(values)}")

    @property
    def opset(self):
        return int(self.spelling[-2:])

    @property
    def masked_row(self):
        """What a row with no key left gives: 'zero', or 'uniform' over all keys where the mask is
        a finite minimum that absorbs every score. The exporters disagree, and so do their files."""
        return {"plain17": "uniform", "ts17": "zero", "dyn18": "uniform", "dyn23": "zero"}[
            self.spelling
        ]


def weight_shapes(config):
    """Name -> shape, with the names and layouts of a BERT checkpoint (linear weights [out, in])."""
    h, i = config.hidden_size, config.intermediate_size
    shapes = {
        "embeddings.word_embeddings.weight": (config.vocab_size, h),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, h),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, h),
        "embeddings.LayerNorm.weight": (h,),
        "embeddings.LayerNorm.bias": (h,),
    }
    for layer in range(config.num_hidden_layers):
        linears = {f"attention.self.{n}": (h, h) for n in ("query", "key", "value")}
        linears |= {"attention.output.dense": (h, h)}
        linears |= {"intermediate.dense": (i, h), "output.dense": (h, i)}
        for name, shape in linears.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (h,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (h,)
    return shapes


def random_weights(config, seed=0):
    """Seeded weights, all different, that take softmax and GELU beyond their linear range."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in weight_shapes(config).items():
        values = random.standard_normal(shape)
        if "LayerNorm.weight" in name:
            values = 1 + 0.1 * values
        elif "embeddings" in name or name.endswith("bias"):
            values = 0.3 * values
        else:
            values = 1.5 * values / np.sqrt(shape[1])
        weights[name] = values.astype(np.float32)
    return weights
