# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`permalloy explain`: text, JSON and the page, which a headless browser draws where there is one."""

import json
import math
import re
import shutil
import subprocess

import pytest
import small_bert
from smallbert import Config, Options

SIZES = ("--dim", "batch=1", "--dim", "sequence=16")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "model.onnx"
    small_bert.write(path, Config(), Options("dyn18"))
    return path


def explain(permalloy, model, *options):
    return json.loads(permalloy("explain", model, *SIZES, "--json", "-", *options).out)


def check(report):
    """What every report promises."""
    assert report["permalloy"] == "explain" and report["version"] == 1
    assert report["threads"] == 1 and report["sizes"] == {"batch": 1, "sequence": 16}
    launches = report["launches"]
    assert math.isclose(report["predicted_us"], sum(launch["predicted_us"] for launch in launches), rel_tol=1e-9)
    low, high = report["interval_us"]
    assert 0 < low < report["predicted_us"] < high
    for launch in launches:
        low, high = launch["interval_us"]
        assert 0 < low < launch["predicted_us"] < high
        assert launch["bound"] in ("compute", "L2", "L3", "memory", "overhead", "launch")
        assert launch["flops"] >= 0 and launch["bytes"] > 0


@pytest.mark.parametrize("kind", ["prior", "trees"])
def test_prices_every_launch(permalloy, model, kind):
    report = explain(permalloy, model, "--cost-model", kind)
    check(report)
    assert report["cost_model"] == kind
    contractions = [launch for launch in report["launches"] if launch["emitter"] == "contraction"]
    assert contractions and all(launch["schedule"] and launch["nodes"] for launch in contractions)
    assert all(launch["schedule_origin"] in ("default", "predicted") for launch in contractions)
    assert any(launch["rejected"] for launch in contractions)
    for launch in contractions:
        for other in launch["rejected"]:
            assert other["schedule"].keys() == launch["schedule"].keys() and other["schedule"] != launch["schedule"]


def test_more_work_takes_longer(permalloy, model):
    few = explain(permalloy, model)["predicted_us"]
    many = json.loads(permalloy("explain", model, "--dim", "batch=8", "--dim", "sequence=64", "--json", "-").out)
    assert many["predicted_us"] > 2 * few


def test_measured_beside_predicted(permalloy, model):
    report = explain(permalloy, model, "--measure")
    check(report)
    assert report["measured_us"] > 0
    assert all(launch["measured_us"] >= 0 for launch in report["launches"])
    text = permalloy("explain", model, *SIZES, "--measure").out
    assert re.search(r"predicted .* 90% between .*; measured .* % off", text), text


def test_text_names_kernels_and_schedules(permalloy, model):
    text = permalloy("explain", model, *SIZES).out
    assert "kernels:" in text and "schedules:" in text and "rejected: " in text
    assert "constants of the machine: " in text


def test_a_plan_is_shown(permalloy, model):
    report = explain(permalloy, model, "--precision", "bf16")
    lines = next(value for value in report["plan"].values() if isinstance(value, list))
    assert lines and all("op" in line for line in lines)
    assert report["precision"] == "bf16"


def test_a_plan_from_a_file_is_called_one(permalloy, model, tmp_path):
    plan, alloy = tmp_path / "plan.json", tmp_path / "model.alloy"
    permalloy("compile", model, "--precision", "bf16", "--print-plan", plan, "-o", alloy)
    assert explain(permalloy, model, "--plan", plan)["precision"] == "plan"
    assert "--precision bf16" in explain(permalloy, alloy)["precision"]
    assert explain(permalloy, model, "--quantize", "w8")["precision"] == "f32+w8"


def test_an_artifact_gets_a_roofline(permalloy, model, tmp_path):
    path = tmp_path / "model.alloy"
    permalloy("compile", model, "-o", path)
    report = explain(permalloy, path)
    assert report["cost_model"] == "roofline" and "explain the .onnx" in report["note"]
    check(report)


def test_refuses_what_it_cannot_explain(permalloy, model):
    assert "one size at a time" in permalloy("explain", model, "--dim", "batch=1,2", code=1).err
    assert "one target at a time" in permalloy("explain", model, "--target", "x86-64-v3,x86-64-v4", code=1).err
    assert "nowhere" in permalloy("explain", model, "--dim", "nowhere=3", code=1).err


def page_of(permalloy, model, tmp_path, *options):
    path = tmp_path / "report.html"
    permalloy("explain", model, *SIZES, "--html", path, *options)
    return path


def test_the_page_needs_nothing_else(permalloy, model, tmp_path):
    page = page_of(permalloy, model, tmp_path).read_text()
    data = re.search(r'<script id="report" type="application/json">(.*?)</script>', page, re.DOTALL).group(1)
    check(json.loads(data))
    assert not re.search(r'(src|href)=|url\(|https?://', page)


def test_a_browser_draws_it(permalloy, model, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        pytest.skip("no chromium to draw the page with")
    page = page_of(permalloy, model, tmp_path, "--precision", "bf16", "--measure")
    dom = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert 'data-drawn="yes"' in dom
    for part in ("bars", "gap", "roofline"):
        assert re.search(rf'<div id="{part}"><svg.*?<(rect|circle)', dom, re.DOTALL), part
    assert dom.count("<tr>") > 10 and "NaN" not in dom


NO_TOOLKIT = {"PERMALLOY_PTXAS": ""}


def explain_gpu(permalloy, model, *options):
    text = permalloy("explain", model, *SIZES, "--json", "-", "--target", "sm_90a", *options, env=NO_TOOLKIT).out
    return json.loads(text)


def test_gpu_launches_have_grids_and_roofs(permalloy, model):
    report = explain_gpu(permalloy, model)
    assert report["target"] == "sm_90a" and report["cost_model"] == "prior" and "threads" not in report
    assert report["machine"]["device"] == "H100 SXM" and report["machine"]["hbm_gbps"] > 3000
    assert {roof["name"] for roof in report["roofs"]} == {"HBM", "L2"}
    assert math.isclose(report["predicted_us"], sum(l["predicted_us"] for l in report["launches"]), rel_tol=1e-9)
    for launch in report["launches"]:
        grid, parts = launch["gpu"], launch["roofline_us"]
        assert grid["form"] and grid["threads"] % 32 == 0 and grid["blocks"] >= 1 and grid["registers_estimated"]
        assert 0 < grid["occupancy"] <= 1 and grid["blocks_at_once"] >= 1 and grid["waves"] > 0
        assert launch["bound"] in parts
        slowest = max(us for name, us in parts.items() if name != "launch")
        assert math.isclose(launch["predicted_us"], slowest + parts["launch"], rel_tol=1e-9)
    # Another device, other times.
    assert explain_gpu(permalloy, model, "--precision", "bf16")["predicted_us"] != report["predicted_us"]


def test_peaks_of_tf32(permalloy, model):
    """Products that may be rounded have the tensor cores' rate for f32, strict ones that of FMA."""
    peaks = {}
    for precision in ("f32", "tf32"):
        report = explain_gpu(permalloy, model, "--precision", precision)
        peaks[precision] = {l["gpu"]["form"]: l["peak_gflops"] for l in report["launches"]}
        machine = report["machine"]
    assert "tensor" not in peaks["f32"] and peaks["f32"]["fma"] == machine["f32_gflops"]
    assert peaks["f32"]["attention_fma"] == machine["f32_gflops"]
    assert peaks["tf32"]["tensor"] == peaks["tf32"]["attention"] == machine["tf32_gflops"]
    assert {entry["level"] for entry in report["plan"]["plan"]} == {"tf32"}
    said = permalloy("explain", model, *SIZES, "--precision", "tf32", "--target", "x86-64-v3", code=1).err
    assert "precision tf32 is for GPUs, and none is among the targets (x86-64-v3)" in said


def test_gpu_schedules_and_what_was_rejected(permalloy, model):
    ranked = ("tensor", "fma", "attention", "attention_fma")
    report, rules = explain_gpu(permalloy, model), explain_gpu(permalloy, model, "--cost-model", "none")
    for launch in report["launches"]:
        assert launch["schedule_origin"] in ("default", "predicted")
        if launch["gpu"]["form"] not in ranked:  # the prior does not tell their schedules apart
            assert not launch["rejected"] and launch["schedule_origin"] == "default"
            continue
        assert 1 <= len(launch["rejected"]) <= 3
        times = [other["predicted_us"] for other in launch["rejected"]]
        assert times == sorted(times) and times[0] > 0.8 * launch["predicted_us"]
        for other in launch["rejected"]:
            assert other["schedule"].keys() == launch["schedule"].keys() and other["schedule"] != launch["schedule"]
    assert {launch["schedule_origin"] for launch in rules["launches"]} == {"default"}
    for chosen, rule in zip(report["launches"], rules["launches"], strict=True):
        assert chosen["predicted_us"] <= 1.01 * rule["predicted_us"]
        assert (chosen["schedule"] == rule["schedule"]) == (chosen["schedule_origin"] == "default")


def test_gpu_text(permalloy, model):
    text = permalloy("explain", model, *SIZES, "--target", "sm_80", "--precision", "bf16", env=NO_TOOLKIT).out
    assert "A100" in text and "launched from a graph" in text and "nothing was measured" in text
    assert re.search(r"kernel +form +launches +blocks +threads +registers +shared +occupancy +waves", text)
    assert "form=" in text and "rejected: " in text


def test_gpu_refusals(permalloy, model, tmp_path):
    def said(*options, path=model):
        return permalloy("explain", path, *SIZES, "--target", "sm_90a", *options, code=1, env=NO_TOOLKIT).err

    assert "'trees' has no measured rows for 'sm_90a'" in said("--cost-model", "trees")
    assert "--measure is for CPUs" in said("--measure")
    permalloy("compile", model, "--target", "sm_90a", "-o", tmp_path / "m.alloy", env=NO_TOOLKIT)
    assert "an artifact is for CPUs" in said(path=tmp_path / "m.alloy")
    assert "unknown GPU target" in permalloy("explain", model, "--target", "sm_70", code=1).err


def test_the_page_of_a_gpu(permalloy, model, tmp_path):
    path = tmp_path / "gpu.html"
    permalloy("explain", model, *SIZES, "--html", path, "--target", "sm_90a", env=NO_TOOLKIT)
    page = path.read_text()
    assert json.loads(re.search(r'<script id="report" type="application/json">(.*?)</script>', page, re.DOTALL).group(1))["roofs"]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser:
        dom = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
        assert 'data-drawn="yes"' in dom and "NaN" not in dom and "blocks x threads" in dom
