# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Imports models written in ONNX's text format (https://onnx.ai/onnx/repo-docs/Syntax.html).

  onnxtxt.py FILE [options of permalloy import]     imports each model of FILE and prints the result
  onnxtxt.py FILE --convert OUT.onnx                converts the only model of FILE

Lines that begin with `//` are comments and separate models. A model without header gets IR version 10,
opset 23 and version 1 of com.microsoft. After each failing import, `exit N` is printed. Messages go to the same output, with
folders taken out of the file names.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
import onnx.parser

HEADER = '<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>\n'


def models(text: str) -> list[str]:
    """The text of each model, with its header."""
    texts = [part.strip() for part in re.split(r"^//.*$", text, flags=re.MULTILINE)]
    return [text if text.startswith("<") else HEADER + text for text in texts if text]


def parse(text: str) -> onnx.ModelProto:
    try:
        return onnx.parser.parse_model(text)
    except onnx.parser.ParseError as error:
        sys.exit(f"{error}\nin:\n{text}")


def main() -> int:
    path, *options = sys.argv[1:]
    parsed = [parse(text) for text in models(Path(path).read_text())]
    if options[:1] == ["--convert"]:
        onnx.save(parsed[0], options[1])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(parsed):
            file = Path(folder) / f"model{number}.onnx"
            onnx.save(model, file)
            command = ["permalloy", "import", str(file), *options]
            result = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            print(f"// model {number}")
            print(result.stdout.replace(folder + "/", ""), end="")
            if result.returncode:
                print(f"exit {result.returncode}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
