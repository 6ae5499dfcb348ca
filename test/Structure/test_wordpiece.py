# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/models/wordpiece.py tokenizes as BERT does."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/models"))
from wordpiece import WordPiece, words


def test_words():
    assert words("It's  Naïve,\tok!") == ["it", "'", "s", "naive", ",", "ok", "!"]
    assert words("中文 a\u0000b\u00adc $5") == ["中", "文", "abc", "$", "5"]
    assert words("ΟΔΟΣ") == ["οδοσ"]


def test_longest_piece_first(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\n##a\nunaff\n")
    tokenizer = WordPiece(vocabulary)
    assert tokenizer.pieces("unaffable") == ["unaff", "##able"]
    assert tokenizer.pieces("unaffxable") == ["[UNK]"]
    assert tokenizer.encode("un unable") == [2, 4, 4, 6, 3]
    assert tokenizer.encode("un un un un", longest=4) == [2, 4, 4, 3]
    ids, mask = tokenizer.batch(["un", "un un"])
    assert ids.tolist() == [[2, 4, 3, 0], [2, 4, 4, 3]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_known_ids_of_the_demo_model():
    from build_minilm import find_package

    try:
        folder = find_package()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    tokenizer = WordPiece(folder / "model/vocab.txt")
    assert tokenizer.encode("Hello, World!") == [101, 7592, 1010, 2088, 999, 102]
    assert tokenizer.encode("déjà vu") == [101, 2139, 3900, 24728, 102]
