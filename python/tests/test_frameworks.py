"""Functions of PyTorch and JAX are judged with the gradients of those."""

import pytest

import plummet

QUICK = {"cases": 10, "stages": [0, 2]}


def test_pytorch_differentiates_a_function():
    torch = pytest.importorskip("torch")
    import plummet.torch as gate

    def rms_norm(x, weight=None, *, eps, offset):
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        return y if weight is None else y * (weight + offset)

    result = gate.check("rms_norm", rms_norm, dtype=["f32", "f64"], **QUICK)
    assert result.coverage == 1 / 2
    detached = lambda x, weight=None, *, eps, offset: rms_norm(x, weight, eps=eps, offset=offset) + 0 * x.detach()
    assert gate.check("rms_norm", detached, backward=False, **QUICK).coverage == 1 / 8

    def stopped(x):
        e = torch.exp(x - x.amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).min))
        return e / e.sum(-1, keepdim=True).clamp_min(1e-30).detach()

    with pytest.raises(plummet.Failed, match="FAIL softmax:bwd:f32  dx") as failed:
        gate.check("softmax", stopped, **QUICK)
    assert "plummet.torch.replay('softmax:bwd" in str(failed.value)


def test_pytorch_carries_bf16():
    torch = pytest.importorskip("torch")
    import plummet.torch as gate

    seen = set()

    def softmax(x):
        seen.add(x.dtype)
        return torch.softmax(x, -1)

    gate.check("softmax", softmax, dtype=["bf16", "f16"], variant={"softmax.empty_row": "nan"}, backward=False, **QUICK)
    assert seen == {torch.bfloat16, torch.float16}


def test_modules_of_pytorch_are_judged_with_the_gates_weights():
    torch = pytest.importorskip("torch")
    import plummet.torch as gate

    class Rms(torch.nn.Module):
        def __init__(self, width, eps):
            super().__init__()
            self.weight, self.eps = torch.nn.Parameter(torch.ones(width)), eps

        def forward(self, x):
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight

    result = gate.check("rms_norm", Rms(8, 1e-3), **QUICK)
    assert result.json["served"]["rms_norm"]["attrs"]["eps"] == [1e-3]
    gate.check("layer_norm", lambda x, weight, bias: torch.nn.LayerNorm(x.shape[-1]), **QUICK)
    gate.check("batch_norm", torch.nn.BatchNorm1d(4), **QUICK)
    with pytest.raises(plummet.Failed, match=r"lambda x, weight, bias: LayerNorm\(x.shape\[-1\]\)"):
        gate.check("layer_norm", torch.nn.LayerNorm(8), **QUICK)
    with pytest.raises(ValueError, match="eps of RMSNorm = None: allowed is a number"):
        gate.check("rms_norm", torch.nn.RMSNorm(8), **QUICK)
    with pytest.raises(ValueError, match="function = linear: allowed is one whose parameters have names"):
        gate.check("linear", torch.nn.functional.linear, **QUICK)


def test_a_device_that_is_not_there_is_refused():
    torch = pytest.importorskip("torch")
    import plummet.torch as gate

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device = cuda: "):
        gate.check("softmax", lambda x: x, device="cuda")


def test_jax_differentiates_a_function():
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp
    import plummet.jax as gate

    @jax.jit
    def rms_norm(x, weight=None, *, eps, offset):
        y = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps)
        return y if weight is None else y * (weight + offset)

    quick = {"cases": 3, "stages": [0, 2], "largest": 1000}
    assert gate.check("rms_norm", rms_norm, **quick).coverage == 1 / 4
    with pytest.raises(plummet.Failed, match="FAIL softmax:bwd:f32  dx"):
        gate.check("softmax", lambda x: jax.nn.softmax(jax.lax.stop_gradient(x), -1), variant={"softmax.empty_row": "nan"}, **quick)
    with pytest.raises(ValueError, match="dtype = f64: allowed is after jax.config.update"):
        gate.check("rms_norm", rms_norm, dtype="f64")
