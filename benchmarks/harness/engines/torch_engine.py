# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch, eager or through inductor: the architectures that the model files were exported from."""

from __future__ import annotations

from ..cases import Case
from . import Job, Runner


def load(job: Job) -> Runner:
    import torch

    from ..architectures import wrapped

    torch.set_num_threads(job.threads)
    model = wrapped(job.case.model.name).eval()
    arguments = [torch.from_numpy(array) for array in job.feeds.values()]
    if job.precision == "bf16":
        model = model.to(torch.bfloat16)
        arguments = [a.to(torch.bfloat16) if a.is_floating_point() else a for a in arguments]
    if job.options.get("compile", False):
        import torch._inductor.config

        torch._inductor.config.freezing = True  # packs weights
        model = torch.compile(model, dynamic=False)

    def call():
        with torch.inference_mode():
            return model(*arguments)

    with torch.no_grad():
        model(*arguments)  # compiles
    return Runner(
        call=call,
        outputs=lambda results: _named(job.case, results),
        info={"version": torch.__version__},
    )


def _named(case: Case, results) -> dict:
    """By the names that the exports give them."""
    results = results if isinstance(results, tuple) else (results,)
    first = {"text": "last_hidden_state", "audio": "last_hidden_state"}
    names = [first.get(case.model.inputs, "logits")]
    names += [f"present.{i}.{kind}" for i in range(case.model.layers) for kind in ("key", "value")]
    return {name: tensor.float().numpy() for name, tensor in zip(names, results)}
