# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What editors and MLIR engineers work with: the language server, and passes on imported text."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import small_bert
from smallbert import Config, Options

RELU = """func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = tfm.unary relu %x : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
"""


@pytest.fixture
def beside(tool):
    """Another program of the same build."""

    def path(name):
        found = Path(tool).with_name(name)
        if not found.exists():
            pytest.skip(f"{name} is not built")
        return found

    return path


class Server:
    """permalloy-lsp-server, spoken to as an editor does."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, method, parameters, number=None):
        message = {"jsonrpc": "2.0", "method": method, "params": parameters}
        if number is not None:
            message["id"] = number
        text = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
        self.process.stdin.flush()

    def receive(self):
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return json.loads(self.process.stdout.read(length))

    def open(self, text):
        """Shows it a file; what it finds wrong there."""
        item = {"uri": "file:///x.mlir", "languageId": "mlir", "version": 1, "text": text}
        self.send("textDocument/didOpen", {"textDocument": item})
        return self.receive()["params"]["diagnostics"]

    def close(self):
        self.send("shutdown", {}, 99)
        self.receive()
        self.send("exit", {})
        assert self.process.wait(timeout=20) == 0


@pytest.fixture
def server(beside):
    running = Server(beside("permalloy-lsp-server"))
    running.send("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": {}}, 1)
    assert "hoverProvider" in running.receive()["result"]["capabilities"]
    yield running
    running.process.kill()


def test_language_server_knows_tfm(server):
    assert server.open(RELU) == []
    place = {"textDocument": {"uri": "file:///x.mlir"}, "position": {"line": 1, "character": 12}}
    server.send("textDocument/hover", place, 2)
    assert "tfm.unary" in json.dumps(server.receive()["result"])
    server.close()


def test_language_server_shows_what_the_verifier_says(server):
    wrong = RELU.replace("-> tensor<?x4xf32>\n  return", "-> tensor<?x5xf32>\n  return")
    (diagnostic, *_) = server.open(wrong)
    assert diagnostic["severity"] == 1 and diagnostic["range"]["start"]["line"] in (1, 2)
    server.close()


def test_imported_text_moves_with_its_weights(permalloy, beside, tmp_path):
    """Weights of a file beside the text are found from anywhere, also after both have moved."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    small_bert.write(first / "model.onnx", Config(), Options("dyn18"))
    permalloy("import", "first/model.onnx", "-o", "first/model.mlir", cwd=tmp_path)
    assert '#tfm.file<"model.onnx"' in (first / "model.mlir").read_text()
    shutil.move(first, second)
    command = [beside("permalloy-opt"), second / "model.mlir", "--tfm-pipeline"]
    result = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert "tfm.attention" in result.stdout and f'"{second}/model.onnx"' in result.stdout
    permalloy("compile", second / "model.mlir", "-o", tmp_path / "text.alloy", cwd="/")
    permalloy("compile", second / "model.onnx", "-o", tmp_path / "onnx.alloy")
    shown = [
        permalloy("inspect", tmp_path / f"{kind}.alloy", "--weights").out
        for kind in ("text", "onnx")
    ]
    assert shown[0].split("weights")[-1] == shown[1].split("weights")[-1]


def test_text_elsewhere_names_weights_by_their_whole_path(permalloy, tmp_path):
    small_bert.write(tmp_path / "model.onnx", Config(), Options("dyn18"))
    (tmp_path / "out").mkdir()
    permalloy("import", "model.onnx", "-o", "out/model.mlir", cwd=tmp_path)
    assert f'#tfm.file<"{tmp_path}/model.onnx"' in (tmp_path / "out/model.mlir").read_text()
