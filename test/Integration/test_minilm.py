# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""all-MiniLM-L6-v2 with its real weights against onnxruntime."""

import json

import build_minilm
import pytest
from smallbert import SPELLINGS
from whole_models import bert_feed


@pytest.fixture(scope="module", params=SPELLINGS)
def minilm(request, tmp_path_factory):
    try:
        build_minilm.find_package()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("minilm") / "minilm.onnx"
    build_minilm.build(path, spelling=request.param)
    return path


def test_against_onnxruntime(minilm, engines, permalloy):
    both = engines(minilm)
    for batch, sequence in ((1, 2), (3, 7), (8, 16), (1, 128)):
        both.check(bert_feed(batch, sequence, 30522, padded=batch > 1))
    content = json.loads(permalloy("inspect", both.alloy, "--json").out)
    assert sum("attention" in step["kernel"] for step in content["steps"]) == 6
    assert len(content["kernels"]) <= 20
    assert len(content["steps"]) <= 10 * 6 + 6


@pytest.mark.slow
def test_more_shapes(minilm, engines):
    both = engines(minilm)
    for batch in (1, 3, 8):
        for sequence in (2, 7, 16, 128, 384):
            for padded in (False, True):
                both.check(bert_feed(batch, sequence, 30522, padded))
