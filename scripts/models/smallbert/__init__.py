# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""BERT-like encoders as ONNX, written node by node in the spellings of several exporters.

The tests need the same model in each form that users bring, on machines without torch. `spell`
writes one; `reference.forward` is what all of them must compute.

    weights = random_weights(config, seed=0)        # or real ones, see build_minilm.py
    model = spell(config, weights, Options(spelling="dyn18"))

| spelling | opset | imitates                                | attention                           |
|----------|-------|-----------------------------------------|-------------------------------------|
| plain17  | 17    | hub exports of the eager implementation | MatMul, Mul, Add (1 - mask) * min   |
| ts17     | 17    | torch.onnx.export(dynamo=False), sdpa   | Where(mask, 0, -inf), IsNaN guard   |
| dyn18    | 18    | torch.onnx.export(dynamo=True), sdpa    | Where(mask, 0, min), IsNaN guard    |
| dyn23    | 23    | torch.onnx.export(dynamo=True), sdpa    | Attention, Gelu                     |

With default options ts17, dyn18 and dyn23 have the nodes (op, attributes, edges, constants, order)
of torch 2.15's exports of transformers 5.23's BertModel. What differs: names; the exporter's
value_info and metadata, left out here; and the Identity nodes by which its dynamo=False form merges
equal weights, absent here because no two weights are equal.
"""

from .config import SPELLINGS, Config, Options, random_weights
from .spellings import spell

__all__ = ["SPELLINGS", "Config", "Options", "random_weights", "spell"]
