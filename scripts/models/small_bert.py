#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a small BERT-like encoder with seeded random weights as ONNX, in one of several spellings.

    scripts/models/small_bert.py --spelling dyn18 out.onnx
    scripts/models/small_bert.py --spelling ts17 --layer-norm function --linear gemm out.onnx
    scripts/models/small_bert.py --self-test

Inputs input_ids, attention_mask, token_type_ids: int64 [batch, sequence], both dynamic; output
last_hidden_state: f32 [batch, sequence, hidden]. The same sizes and seed give the same function in
every spelling, except that --gelu tanh changes it and that what a sequence without any token gives
depends on the spelling (Options.masked_row). Same arguments, same bytes. See smallbert/__init__.py.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from smallbert import SPELLINGS, Config, Options, random_weights, spell
from smallbert.graph import save
from smallbert.verify import TOLERANCE, max_difference


def write(path, config=None, options=None, seed=0, external_data=False):
    """Writes the model to `path` and returns its weights (checkpoint names -> f32 arrays)."""
    config, options = config or Config(), options or Options()
    weights = random_weights(config, seed)
    save(spell(config, weights, options), path, external_data)
    return weights


def verify(path, config, options, seed):
    """Compares `path` under ONNX Runtime with the numpy reference; returns the difference."""
    difference = max_difference(path, config, random_weights(config, seed), options)
    if not difference <= TOLERANCE:
        raise SystemExit(
            f"error: differs by {difference:.2e} from the reference, {TOLERANCE} allowed"
        )
    return difference


def self_test():
    """Every combination of the options, two sizes, inline and external data."""
    forms = ("op", "decomposed", "function"), ("erf", "tanh"), ("matmul", "gemm")
    sizes = Config(), Config(hidden_size=64, num_attention_heads=4, intermediate_size=96)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for spelling, form in itertools.product(SPELLINGS, itertools.product(*forms)):
            options = Options(spelling, *form)
            config, external = sizes[count % 2], count % 3 == 0
            path = Path(folder) / f"{count}.onnx"
            write(path, config, options, count, external)
            difference = verify(path, config, options, count)
            print(f"{spelling} {' '.join(form)}: {difference:.1e}")
            count += 1
    print(f"{count} passed, 0 failed")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", help="file to write")
    parser.add_argument("--spelling", choices=SPELLINGS, default="plain17")
    parser.add_argument("--layer-norm", choices=("op", "decomposed", "function"), default="op")
    parser.add_argument("--gelu", choices=("erf", "tanh"), default="erf")
    parser.add_argument("--linear", choices=("matmul", "gemm"), default="matmul")
    parser.add_argument("--external-data", action="store_true", help="weights in OUTPUT.data")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--intermediate", type=int, help="default: 4 * hidden")
    parser.add_argument("--vocab", type=int, default=67)
    parser.add_argument("--positions", type=int, default=48, help="longest sequence")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verify", action="store_true", help="compare with the numpy reference")
    parser.add_argument("--self-test", action="store_true", help="verify all combinations")
    arguments = parser.parse_args()
    if not arguments.output and not arguments.self_test:
        parser.error("name a file to write, or --self-test")
    return parser, arguments


def main():
    parser, a = parse()
    if a.self_test:
        self_test()
        return
    try:
        options = Options(a.spelling, a.layer_norm, a.gelu, a.linear)
        config = Config(
            hidden_size=a.hidden,
            num_hidden_layers=a.layers,
            num_attention_heads=a.heads,
            intermediate_size=a.intermediate or 4 * a.hidden,
            vocab_size=a.vocab,
            max_position_embeddings=a.positions,
        )
    except ValueError as error:
        parser.error(str(error))
    write(a.output, config, options, a.seed, a.external_data)
    if a.verify:
        print(f"largest difference {verify(a.output, config, options, a.seed):.1e}")


if __name__ == "__main__":
    main()
