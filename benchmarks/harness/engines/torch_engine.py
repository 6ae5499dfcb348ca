# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch, eager or through inductor: the architectures that the model files were exported from."""

from __future__ import annotations

from ..cases import Case
from . import Job, Runner, run_of


def load(job: Job) -> Runner:
    import torch

    from ..architectures import wrapped

    torch.set_num_threads(job.threads)
    model = wrapped(job.case.model.name).eval()
    if job.precision == "bf16":
        _to_bf16(torch, model)
    if job.options.get("compile", False):
        import torch._inductor.config

        torch._inductor.config.freezing = True  # packs weights
        model = torch.compile(model, dynamic=False)

    def run(feeds):
        with torch.inference_mode():
            return model(*feeds.values())

    runner = run_of(
        job,
        job.feeds,
        run,
        lambda results: _named(job.case, results),
        {"version": torch.__version__},
        lambda feeds: {name: _tensor(torch, job, array) for name, array in feeds.items()},
    )
    runner.call()  # compiles
    return runner


def _to_bf16(torch, model):
    """As from_pretrained(dtype=bfloat16): what rotary embeddings are made from stays f32."""
    kept = {name: b.clone() for name, b in model.named_buffers() if name.endswith("inv_freq")}
    model.to(torch.bfloat16)
    for name, buffer in kept.items():
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, buffer)


def _tensor(torch, job: Job, array):
    tensor = torch.from_numpy(array)
    half = job.precision == "bf16" and tensor.is_floating_point()
    return tensor.to(torch.bfloat16) if half else tensor


def _named(case: Case, results) -> dict:
    """By the names that the exports give them."""
    results = results if isinstance(results, tuple) else (results,)
    first = {"text": "last_hidden_state", "audio": "last_hidden_state"}
    names = [first.get(case.model.inputs, "logits")]
    names += [f"present.{i}.{kind}" for i in range(case.model.layers) for kind in ("key", "value")]
    return {name: tensor.float().numpy() for name, tensor in zip(names, results)}
