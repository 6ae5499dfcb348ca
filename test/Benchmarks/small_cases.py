# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A case file for a small encoder. In a module of its own: several folders have a conftest."""

CASES = """
[defaults]
precisions = ["f32"]
threads = [1]
forms = ["plain"]
flavour = "dyn18"

[models.small]
inputs = "text"
layers = 2
hidden = 64
feed_forward = 128
heads = 4

[[case]]
name = "small b2 s16"
group = "encoders"
model = "small"
batch = 2
sequence = 16
why = "a test"

[[case]]
name = "small b1 s7"
group = "encoders"
model = "small"
batch = 1
sequence = 7
why = "a test"
"""


def load(tmp_path, text):
    """The cases of a file of this text."""
    from harness import cases  # conftest.py makes it known

    path = tmp_path / "cases.toml"
    path.write_text(text)
    return cases.load(path)
