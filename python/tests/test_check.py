"""A function of this process is judged: right ones pass, wrong ones fail with the report."""

import os
import pathlib
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import plummet


def rms_norm(x, weight=None, *, eps, offset):
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return y if weight is None else y * (weight + offset)


def centred(x, weight=None, *, eps):
    """rms_norm with the variance in place of the mean square."""
    y = x / np.sqrt(x.var(-1, keepdims=True) + eps)
    return y if weight is None else y * weight


def softmax(x):
    most = x.max(-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(most), 0, most))
    return e / np.maximum(e.sum(-1, keepdims=True), np.finfo(x.dtype).tiny)


def softmax_vjp(x, dy):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def test_a_right_function_passes_and_says_how_right_it_is():
    result = plummet.check("rms_norm", rms_norm)
    assert (result.verdict, result.exit_code, result.grade) == ("right", 0, "A")
    assert 0 < result.q <= 1
    assert result.coverage == 1 / 8
    assert "rms_norm does not take all of rms_norm, and is asked with cast" in result.text
    assert result.json["target"]["name"] == "rms_norm"
    assert repr(result) == result.text


def test_a_wrong_function_fails_with_the_formula_that_it_is():
    with pytest.raises(AssertionError) as failed:
        plummet.check("rms_norm", centred, cases=20)
    text = str(failed.value)
    assert "behaves like: the variance in place of the mean square" in text
    assert "replay: plummet.replay('rms_norm:fwd:f32:" in text
    result = failed.value.result
    assert (result.verdict, result.grade) == ("wrong", None)
    assert result.q > 1
    assert result.json["findings"]


def test_what_a_failure_names_is_put_again():
    with pytest.raises(plummet.Failed) as failed:
        plummet.check("rms_norm", centred, cases=5, stages=[0, 2])
    case = failed.value.result.json["findings"][0]["shrunk"]["case"]
    assert f"plummet.replay('{case}', centred)" in str(failed.value)
    assert "FAIL y[0]" in plummet.replay(case, centred)
    assert plummet.replay(case, rms_norm).endswith("right")


def test_a_backward_is_judged_beside_the_forward():
    result = plummet.check("softmax", softmax, softmax_vjp, cases=20)
    assert {row["dir"] for row in result.json["rows"]} == {"fwd", "bwd"}
    with pytest.raises(plummet.Failed, match="FAIL softmax:bwd:f32  dx") as failed:
        plummet.check("softmax", softmax, lambda x, dy: softmax(x) * dy, cases=20, stages=[0, 2])
    forward, backward = (max(row["q"].values()) for row in failed.value.result.json["rows"])
    assert forward <= 1 < backward == failed.value.result.q


def test_dtypes_are_those_of_arrays():
    pytest.importorskip("ml_dtypes")
    seen = set()

    def wide(x):
        seen.add(x.dtype.name)
        return softmax(x.astype("f4" if x.itemsize < 4 else x.dtype)).astype(x.dtype)

    result = plummet.check("softmax", wide, dtype=["f64", "f32", "f16", "bf16"], cases=10, stages=[0, 2])
    assert seen == {"float64", "float32", "float16", "bfloat16"}
    assert result.coverage == 1 / 2


def test_a_constant_of_the_function_is_declared():
    asked = set()

    def fixed(x, weight=None):
        return rms_norm(x, weight, eps=1e-3, offset=0)

    def told(x, weight=None, *, eps):
        asked.add(eps)
        return rms_norm(x, weight, eps=eps, offset=0)

    plummet.check("rms_norm", fixed, attrs={"eps": 1e-3}, cases=10, stages=[0, 2])
    plummet.check("rms_norm", told, attrs={"eps": [1e-3, 1e-5]}, cases=20, stages=[0, 2])
    assert asked == {1e-3, 1e-5}
    with pytest.raises(plummet.Failed):
        plummet.check("rms_norm", fixed, cases=10, stages=[0, 2])


def test_optional_tensors_come_as_the_signature_says():
    never, always = [], []
    plummet.check("linear", lambda x, weight: never.append(1) or x @ weight.T, cases=5, stages=[0, 2])

    def biased(x, weight, bias):
        always.append(bias.shape)
        return x @ weight.T + bias

    plummet.check("linear", biased, cases=5, stages=[0, 2])
    assert never and always


def test_an_optimiser_may_write_in_place():
    def adamw(p, g, m, v, *, step, lr, beta1, beta2, eps, weight_decay):
        p *= 1 - lr * weight_decay
        m += (1 - beta1) * (g - m)
        v[:] = beta2 * v + (1 - beta2) * g * g
        correction = np.sqrt(v / (1 - beta2**step)) + eps
        p -= lr * (m / (1 - beta1**step)) / correction

    plummet.check("adamw", adamw, dtype="f64", attrs={"step": 1, "beta1": 0.9, "beta2": 0.999}, cases=5, stages=0)


def test_sizes_seeds_and_pins_are_those_of_the_command(tmp_path):
    shapes, pins = set(), tmp_path / "pins"

    def shaped(x):
        shapes.add(x.shape)
        return softmax(x)

    result = plummet.check("softmax", shaped, stages=7, sizes={"rows": 3, "cols": 5000}, seed=7)
    assert result.json["seed"] == 7
    assert any(shape[-2:] == (3, 5000) for shape in shapes)
    with pytest.raises(plummet.Failed):
        plummet.check("rms_norm", centred, cases=5, stages=[0, 2], pin=pins)
    assert pins.read_text().startswith("rms_norm:fwd:f32")


def test_an_exception_is_the_cause_and_keeps_its_traceback():
    def broken(x):
        raise KeyError("no such buffer")

    with pytest.raises(plummet.Failed, match="KeyError: 'no such buffer'") as failed:
        plummet.check("softmax", broken, stages=0)
    cause = failed.value.__cause__
    assert isinstance(cause, KeyError) and cause.__traceback__.tb_next is not None


def test_what_overflows_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(plummet.Failed, match="off: NaN"):
            plummet.check("softmax", lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), stages=[0, 2])


def test_one_that_is_too_slow_is_left_and_answers_nobody():
    calls = []

    def slow(x):
        calls.append(1)
        time.sleep(0.4)
        return softmax(x)

    with pytest.raises(plummet.Failed) as failed:
        plummet.check("softmax", slow, stages=0, patience="first=0.1s,shape=0.1s,call=0.1s")
    assert failed.value.result.verdict == "crash"
    assert calls


@pytest.mark.parametrize(
    "given, line",
    [
        (("layernorm", softmax), "op = layernorm: allowed is layer_norm, rms_norm"),
        (("softmax", lambda x, scale: x), "parameter scale of the function: allowed is x, or"),
        (("softmax", lambda y=0: y), "the function does not take x, which softmax has"),
        (("dropout", lambda x, p: x), "does not take seed, which dropout has"),
        (("softmax", softmax, {"dtype": "fp32"}), "dtype = fp32: allowed is f64, f32, f16, bf16"),
        (("softmax", softmax, {"attrs": {"eps": 1}}), "attrs = eps: allowed is none, of this operator"),
        (("softmax", softmax, {"cases": 0}), "cases = 0: allowed is a whole number, 1 to 1000000"),
        (("softmax", softmax, {"stages": [9]}), "stages = 9: allowed is 0 smoke"),
        (("adamw", lambda **all: None, {"vjp": softmax}), "vjp = softmax: adamw has no backward"),
    ],
)
def test_bad_input_is_refused_in_a_line(given, line):
    op, function, *options = given
    with pytest.raises(ValueError) as refused:
        plummet.check(op, function, **(options[0] if options else {}))
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_a_binary_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("PLUMMET_BINARY", "/nowhere/plummet")
    with pytest.raises(FileNotFoundError, match="PLUMMET_BINARY = /nowhere/plummet: allowed is a program"):
        plummet.check("softmax", softmax)


def test_the_command_line_is_at_hand():
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    command = [sys.executable, "-m", "plummet", "gate", "ops"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("layer_norm")


def test_nothing_is_left_behind():
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    plummet.check("softmax", softmax, stages=0)
    after = set(os.listdir("/proc/self/fd")) if before else set()
    assert len(after) == len(before)
