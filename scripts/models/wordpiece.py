# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""BERT's uncased WordPiece tokenizer over a vocab.txt, in plain Python.

Text is lower-cased, stripped of accents and control characters, split at blanks, punctuation and
CJK characters; each word becomes the longest pieces of the vocabulary from its left, continued ones
written with a leading ##. Test: test/Structure/test_wordpiece.py.
"""

import unicodedata
from pathlib import Path

LONGEST_WORD = 100
CJK = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


def is_separate(char):
    """Characters that are words of their own: punctuation, ASCII symbols, CJK."""
    code = ord(char)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(char).startswith("P") or any(low <= code <= up for low, up in CJK)


def words(text):
    """The words of a text, normalised."""
    spaced = []
    for char in text:
        category = unicodedata.category(char)
        if char in "\t\n\r" or category == "Zs":
            spaced.append(" ")
        elif char not in "\0\ufffd" and not category.startswith("C"):
            spaced.append(char)
    # Each character by itself: as a string, a Greek word's last sigma would become a final one.
    text = unicodedata.normalize("NFD", "".join(char.lower() for char in spaced))
    text = "".join(char for char in text if unicodedata.category(char) != "Mn")
    return "".join(f" {char} " if is_separate(char) else char for char in text).split()


class WordPiece:
    """Turns sentences into token ids."""

    def __init__(self, vocabulary):
        """`vocabulary` is the path of a vocab.txt: one piece a line, its id the line's number."""
        pieces = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        self.ids = {piece: number for number, piece in enumerate(pieces)}

    def pieces(self, word):
        """Longest match first; a word that cannot be covered is [UNK] as a whole."""
        found, start = [], 0
        while start < len(word):
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in self.ids:
                end -= 1
            if end == start or len(word) > LONGEST_WORD:
                return ["[UNK]"]
            found.append(("##" if start else "") + word[start:end])
            start = end
        return found

    def encode(self, text, longest=512):
        """Token ids of a sentence between [CLS] and [SEP], at most `longest` of them."""
        pieces = [piece for word in words(text) for piece in self.pieces(word)]
        pieces = ["[CLS]", *pieces[: longest - 2], "[SEP]"]
        return [self.ids[piece] for piece in pieces]

    def batch(self, texts, longest=512):
        """-> (input_ids, attention_mask) as int64 arrays, padded to the longest sentence."""
        import numpy as np

        rows = [self.encode(text, longest) for text in texts]
        ids = np.full((len(rows), max(map(len, rows))), self.ids["[PAD]"], np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return ids, mask
