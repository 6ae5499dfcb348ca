# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Parses the example of each operation and attribute of a dialect with permalloy-opt, and what that prints, again.

usage: parse_examples.py FILE.td...

An example is a ```mlir block, or `Example: ` with code in backticks. A single operation is wrapped into a function whose
arguments are its operands. An operation without an example is an error.
"""

import re
import subprocess
import sys
from pathlib import Path

KERNEL = """kern.kernel @relu_0 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%a: tensor<?x64xf32>):
  %r = tfm.unary relu %a : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %r : tensor<?x64xf32>
}"""


def definitions(text):
    """Pairs of (name, body, is operation) of the definitions that hold a summary."""
    starts = [m for m in re.finditer(r"^def (\w+) : (\w+)<", text, re.MULTILINE)]
    for start, following in zip(starts, starts[1:] + [None]):
        body = text[start.start() : following.start() if following else len(text)]
        kind = start.group(2)
        if "let summary" in body and not kind.endswith("Enum"):
            yield start.group(1), body, kind.endswith("Op")


def examples(body):
    """Code of the examples in a definition."""
    blocks = [block.strip() for block in re.findall(r"```mlir\n(.*?)```", body, re.DOTALL)]
    for line in re.findall(r"Example: (`.*)", body):
        blocks += [code.replace('\\"', '"') for code in re.findall(r"`([^`]+)`", line)]
    return blocks


def split_types(text):
    """Splits a list of types at its top-level commas."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char in "<([") - (char in ">)]")
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return parts + [current.strip()] if current.strip() else parts


def operand_types(code, count):
    """Types of the operands, from the tail of the operation."""
    functional = re.search(r" : \((.*)\) -> ", code)
    if functional:
        return split_types(functional.group(1))
    tail = code.rsplit(" : ", 1)[1]
    return [tail.split(" to ")[0]] * count


def wrap(code):
    """A module around one example."""
    if code.startswith("#"):
        return f"func.func private @f() attributes {{test.value = {code}}}"
    if code.startswith("tensor<"):
        return f"func.func private @f({code})"
    if re.match(r"(tfm\.weight|kern\.kernel|func\.func)", code):
        return code
    names = list(
        dict.fromkeys(
            re.findall(r"%\w+", code.split(" = ", 1)[-1] if code.startswith("%") else code)
        )
    )
    types = operand_types(code, len(names)) if names else []
    arguments = ", ".join(f"{name}: {kind}" for name, kind in zip(names, types))
    if code.startswith("tfm.yield"):
        constant = f"  {names[0]} = tfm.constant dense<0.0> : {types[0]}\n"
        return f"tfm.weight @w : {types[0]} {{\n{constant}  {code}\n}}"
    if code.startswith("kern.yield"):
        return re.sub(r"kern\.yield %r.*", code, KERNEL).replace("%r =", f"{names[0]} =")
    symbols = KERNEL if "@relu_0" in code else ""
    weight = re.search(r"tfm\.get_weight @(\w+) : (.*)", code)
    if weight:
        symbols = f"tfm.weight @{weight.group(1)} : {weight.group(2)} = #tfm.seeded<1, 1.0>"
    return f"{symbols}\nfunc.func @f({arguments}) {{\n  {code}\n  return\n}}"


def run(text, *flags):
    """The finished permalloy-opt on modules between lines `// -----`."""
    command = ["permalloy-opt", "-", "--split-input-file", *flags]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=False)


def round_trips(text):
    """What is wrong, empty where what is printed, generic too, is parsed and printed alike."""
    once = run(text)
    generic = run(once.stdout, "--mlir-print-op-generic")
    if once.returncode == 0 and run(once.stdout).stdout == once.stdout == run(generic.stdout).stdout:
        return ""
    return f"{once.stderr}{generic.stderr}" or "printed again it is another"


def main(files):
    codes, failed = [], 0
    for file in files:
        for name, body, is_operation in definitions(Path(file).read_text()):
            found = examples(body)
            if is_operation and not found:
                print(f"{name}: no example")
                failed += 1
            codes += [(name, code) for code in found]
    wrong = {}
    # All at once; each alone only where that fails.
    if round_trips("\n// -----\n".join(wrap(code) for _, code in codes)):
        wrong = {code: said for _, code in codes if (said := round_trips(wrap(code)))}
        failed += max(len(wrong), 1)
    for name, code in codes:
        if code in wrong:
            print(f"{name}: {code}\n{wrong[code]}")
    print(f"{len(codes) - len(wrong)} examples parsed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
