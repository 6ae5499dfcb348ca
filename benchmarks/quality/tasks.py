# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What models are judged on. A task has a model, inputs that it was not trained on, and figures with
intervals; everything is also compared with the same compiler's f32."""

from __future__ import annotations

import gzip
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import digits
from . import statistics as stats

HERE = Path(__file__).resolve().parent
DATA, MODELS = HERE / "data", HERE / "models"
sys.path.append(str(HERE.parents[1] / "scripts/models"))

Feed = dict[str, np.ndarray]
Run = Callable[[Feed], np.ndarray]


@dataclass
class Timed:
    """One thing to time: a model file and its inputs."""

    name: str
    model: Path
    feed: Feed


@dataclass
class Task:
    name: str
    model: Path
    calibration: Feed
    timed: list[Timed] = field(default_factory=list)
    #: The figure by which plans are compared, and whether more of it is better.
    main: str = ""
    more_is_better: bool = False

    def outputs(self, run: Run) -> list[np.ndarray]:
        """Of all samples, in a form that `judge` takes."""
        raise NotImplementedError

    def judge(self, outputs: list, reference: list) -> dict[str, dict]:
        """Figures by name, each {"value", "low", "high"}."""
        raise NotImplementedError


# ===---------------------------------------------------------------------------------------=== #
# Language
# ===---------------------------------------------------------------------------------------=== #

_LENGTH, _PAST = 256, 128
_LAYERS, _HEADS, _SIZE = 4, 4, 64


class Language(Task):
    """Bytes of Python sources; perplexity a byte, and how far the distribution moved."""

    def __init__(self, windows: int | None = None):
        text = np.frombuffer(
            gzip.decompress((DATA / "python-heldout.txt.gz").read_bytes()), np.uint8
        )
        count = min(windows or len(text), (len(text) - 1) // _LENGTH)
        self.windows = np.stack([text[i * _LENGTH :][: _LENGTH + 1] for i in range(count)])
        with np.load(DATA / "python-calibration.npz") as file:
            calibration = dict(file)
        super().__init__("language", MODELS / "language.prefill.onnx", calibration)
        self.main = "perplexity"
        self.timed = [
            Timed("prefill 256", self.model, self._feed(self.windows[0, :-1])),
            Timed("decode past 128", MODELS / "language.decode.onnx", self._step()),
        ]

    def outputs(self, run: Run) -> list[np.ndarray]:
        return [_log_softmax(run(self._feed(w[:-1]))[0]).astype(np.float32) for w in self.windows]

    def judge(self, outputs: list, reference: list) -> dict[str, dict]:
        nats, base, divergence, agreement = [], [], [], []
        for window, mine, theirs in zip(self.windows, outputs, reference):
            at = (np.arange(_LENGTH), window[1:])
            nats.append(-mine[at].mean(dtype=np.float64))
            base.append(-theirs[at].mean(dtype=np.float64))
            divergence.append((np.exp(theirs) * (theirs - mine)).sum(-1).mean(dtype=np.float64))
            agreement.append((mine.argmax(-1) == theirs.argmax(-1)).mean())
        return {
            "perplexity": stats.bootstrap(stats.perplexity, [nats]),
            "bits per byte": stats.bootstrap(stats.mean, [np.array(nats) / np.log(2)]),
            "rise": stats.bootstrap(stats.perplexity_rise, [nats, base]),
            "KL": stats.bootstrap(stats.mean, [divergence]),
            "agreement": stats.bootstrap(stats.mean, [agreement]),
        }

    @staticmethod
    def _feed(window: np.ndarray) -> Feed:
        ids = window.astype(np.int64)[None]
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    def _step(self) -> Feed:
        random = np.random.default_rng(0)
        shape = (1, _HEADS, _PAST, _SIZE)
        feed = {
            f"past_key_values.{layer}.{part}": random.standard_normal(shape).astype(np.float32)
            for layer in range(_LAYERS)
            for part in ("key", "value")
        }
        return feed | {
            "input_ids": self.windows[:1, _PAST : _PAST + 1].astype(np.int64),
            "attention_mask": np.ones((1, _PAST + 1), np.int64),
            "position_ids": np.full((1, 1), _PAST, np.int64),
        }


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


# ===---------------------------------------------------------------------------------------=== #
# Digits
# ===---------------------------------------------------------------------------------------=== #

_BATCH, _CALIBRATION = 8, 128
#: Above those of training, which are its steps.
_CALIBRATION_SEED = 1 << 30


class Digits(Task):
    """Digits in scenes: accuracy on those that were held out. Scenes of one digit are drawn together."""

    def __init__(self, scenes: int | None = None):
        scenes = scenes and math.ceil(scenes / digits.PLACEMENTS) * digits.PLACEMENTS
        self.images, self.labels = digits.held_out(scenes)
        calibration = {"pixel_values": digits.training(_CALIBRATION, seed=_CALIBRATION_SEED)[0]}
        super().__init__("digits", MODELS / "digits.onnx", calibration)
        self.main, self.more_is_better = "accuracy", True
        self.timed = [
            Timed(f"{count} images", self.model, {"pixel_values": self.images[:count]})
            for count in (1, _BATCH)
        ]

    def outputs(self, run: Run) -> list[np.ndarray]:
        parts = np.array_split(self.images, max(len(self.images) // _BATCH, 1))
        return [row for part in parts for row in run({"pixel_values": part})]

    def judge(self, outputs: list, reference: list) -> dict[str, dict]:
        mine, theirs = _log_softmax(np.stack(outputs)), _log_softmax(np.stack(reference))
        divergence = (np.exp(theirs) * (theirs - mine)).sum(-1)
        right, before = (by_digit(rows.argmax(-1) == self.labels) for rows in (mine, theirs))
        return {
            "accuracy": stats.bootstrap(stats.mean, [right]),
            "change": stats.bootstrap(stats.difference, [right, before]),
            "KL": stats.bootstrap(stats.mean, [by_digit(divergence)]),
            "agreement": stats.bootstrap(stats.mean, [by_digit(mine.argmax(-1) == theirs.argmax(-1))]),
        }


def by_digit(values: np.ndarray) -> np.ndarray:
    """Means over the scenes of each digit, which are drawn together."""
    return values.reshape(-1, digits.PLACEMENTS).mean(-1)


# ===---------------------------------------------------------------------------------------=== #
# Sentences
# ===---------------------------------------------------------------------------------------=== #


_TOKENS = 128


class Sentences(Task):
    """all-MiniLM-L6-v2: cosines of embeddings to those of f32. FileNotFoundError without its package."""

    def __init__(self, work: Path, sentences: int | None = None):
        import build_minilm
        import wordpiece

        folder = build_minilm.find_package()
        self._tokens = wordpiece.WordPiece(folder / "model/vocab.txt")
        model = work / "minilm.onnx"
        if not model.exists():
            new = model.with_suffix(".new")
            build_minilm.build(new)
            new.rename(model)
        self.sentences = _lines("sentences.txt")[:sentences]
        calibration = self._paragraphs(_lines("sentences-calibration.txt"))
        super().__init__("sentences", model, calibration)
        self.main, self.more_is_better = "worst cosine", True
        self.timed = [
            Timed(f"{_TOKENS} tokens", model, self._paragraphs(_lines("sentences.txt"), 1))
        ]

    def outputs(self, run: Run) -> list[np.ndarray]:
        return [run(self._feed([text]))[0].mean(0, dtype=np.float64) for text in self.sentences]

    def judge(self, outputs: list, reference: list) -> dict[str, dict]:
        mine, theirs = (np.stack(rows) for rows in (outputs, reference))
        norms = np.linalg.norm(mine, axis=-1) * np.linalg.norm(theirs, axis=-1)
        cosines = (mine * theirs).sum(-1) / norms
        worst = float(cosines.min())
        return {
            # The least of all has no interval that drawing again could give.
            "worst cosine": {"value": worst, "low": worst, "high": worst},
            "mean cosine": stats.bootstrap(stats.mean, [cosines]),
        }

    def _paragraphs(self, texts: list[str], count: int | None = None) -> Feed:
        """As many texts as there are sentences, of _TOKENS tokens each: what times are taken of."""
        starts = range(count or len(texts))
        feed = self._feed([" ".join(texts[i:] + texts[:i]) for i in starts])
        return {name: np.ascontiguousarray(array[:, :_TOKENS]) for name, array in feed.items()}

    def _feed(self, texts: list[str]) -> Feed:
        ids, mask = self._tokens.batch(texts)
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def known(work: Path, samples: int | None) -> dict[str, Callable[[], Task]]:
    """Tasks by name; calling one loads its data, `samples` samples of it at most."""
    return {
        "language": lambda: Language(samples),
        "digits": lambda: Digits(samples),
        "sentences": lambda: Sentences(work, samples),
    }
