"""Golden values for Plummet from PyTorch: CPU, float64, autograd, one thread, seeded.

    python make.py            write the JSON files beside this script
    python make.py --check    compare what would be written with what is there

PyTorch's own operators are used wherever they exist, so that the values are independent
of Plummet's formulas. README.md beside this file has the format and how to regenerate.
"""

import argparse
import json
import math
import pathlib
import sys
import zlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import StudentT
from torch.nn.attention import SDPBackend, sdpa_kernel

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.set_default_dtype(torch.float64)

LOWEST = torch.finfo(torch.float64).min
ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


class Draw:
    """Random tensors that depend on the group and the case's name only.

    Values are rounded to three decimals: short in the file, and not representable in f32,
    so that a value which passes through f32 on its way is seen.
    """

    def __init__(self, *names):
        self.generator = torch.Generator().manual_seed(zlib.crc32("/".join(names).encode()))

    def raw(self, *shape, std=1.0, mean=0.0):
        return torch.randn(shape, generator=self.generator) * std + mean

    def __call__(self, *shape, std=1.0, mean=0.0):
        return torch.round(self.raw(*shape, std=std, mean=mean), decimals=3)

    def upstream(self, shape):
        """Never ones, and with a mean that is not zero."""
        dy = self(*shape, mean=0.5)
        return torch.full_like(dy, 0.75) if dy.numel() == 1 and dy.abs() < 0.1 else dy

    def tokens(self, top, *shape):
        return torch.randint(top, shape, generator=self.generator)


class Group:
    def __init__(self, name):
        self.name, self.cases = name, []

    def add(self, op, name, attrs, args, fn, wrt="all", zero=(), smooth=True):
        """One case: fn maps the arguments to the outputs, a dict whose first entry is differentiated.

        wrt: the arguments with a gradient (default: all of floating point), None for an op
        without backward. zero: gradients that are zero in truth. smooth: the gradient is also
        compared with a central difference along a random direction.
        """
        assert (op, name) not in {(c["op"], c["name"]) for c in self.cases}, (op, name)
        draw = Draw(self.name, op, name, "upstream")
        if wrt == "all":
            wrt = [k for k, v in args.items() if v.is_floating_point()]
        leaves = {k: v.detach().clone().requires_grad_(k in (wrt or ())) for k, v in args.items()}
        outputs = fn(a=leaves)
        case = {"op": op, "name": name, "attrs": attrs, "args": args}
        case["outputs"] = {k: v.detach() for k, v in outputs.items()}
        if wrt is not None:
            first = next(iter(outputs.values()))
            dy = draw.upstream(first.shape)
            grads = torch.autograd.grad(first, [leaves[k] for k in wrt], dy)
            case["dy"] = dy
            case["grads"] = {"d" + k: g for k, g in zip(wrt, grads)}
            check_gradients(case, wrt, grads, dy, fn, zero, smooth, draw)
        for part in ("args", "outputs", "grads"):
            for key, t in case.get(part, {}).items():
                assert torch.isfinite(t).all(), (op, name, part, key)
                assert all(n > 0 for n in t.shape), (op, name, part, key)
        self.cases.append(case)
        return case


def check_gradients(case, wrt, grads, dy, fn, zero, smooth, draw):
    label = (case["op"], case["name"])
    for key, grad in zip(wrt, grads):
        assert grad.shape == case["args"][key].shape, (label, key)
        largest = grad.abs().max().item()
        if key in zero:
            assert largest < 1e-12, (label, key, largest)
        else:
            assert largest > 1e-9, (label, key, largest)
    if not smooth:
        return
    # Along random directions, each argument moved by a part of its own size. Two step sizes:
    # a wrong gradient is wrong at both.
    directions = {k: draw.raw(*case["args"][k].shape) * case["args"][k].std(correction=0).clamp_min(1e-3).clamp_max(1)
                  for k in wrt}
    exact = sum((g * directions[k]).sum().item() for k, g in zip(wrt, grads))
    scale = sum((g * directions[k]).abs().sum().item() for k, g in zip(wrt, grads))

    def along(h):
        moved = {k: v + h * directions[k] if k in directions else v for k, v in case["args"].items()}
        return (next(iter(fn(a=moved).values())) * dy).sum().item()

    errors = []
    for h in (1e-5, 1e-6):
        errors.append(abs((along(h) - along(-h)) / (2 * h) - exact))
    assert min(errors) <= 2e-6 * scale + 1e-12, (label, errors, scale, exact)


# ---------------------------------------------------------------- norms


def norms():
    group = Group("norms")

    def layer_norm(name, x, eps=1e-5, dims=1, weight=True, bias=True, smooth=True, zero=()):
        draw = Draw("norms", "layer_norm", name, "affine")
        shape = tuple(x.shape[x.dim() - dims:])
        args = {"x": x}
        if weight:
            args["weight"] = draw(*shape, mean=1.0, std=0.5)
        if bias:
            args["bias"] = draw(*shape)
        group.add("layer_norm", name, {"eps": eps, "normalized_dims": dims}, args,
                  lambda a: {"y": F.layer_norm(a["x"], shape, a.get("weight"), a.get("bias"), eps)},
                  smooth=smooth, zero=zero)

    d = Draw("norms", "layer_norm")
    layer_norm("plain", d(3, 7))
    layer_norm("three_axes", d(2, 2, 5))
    layer_norm("two_normalized", d(2, 2, 3), dims=2)
    layer_norm("no_affine", d(3, 6), weight=False, bias=False)
    layer_norm("weight_only", d(3, 5), bias=False)
    layer_norm("bias_only", d(3, 5), weight=False)
    layer_norm("eps_1e-3_big_mean", d(3, 5, mean=300.0), eps=1e-3)
    layer_norm("eps_1e-12", d(3, 8), eps=1e-12)
    layer_norm("eps_half", d(3, 5), eps=0.5)
    layer_norm("big_mean_1e4", d(3, 7, mean=1e4))
    x = d(4, 6)
    x[1] = 2.5
    x[3] = 0.0
    layer_norm("constant_row", x)
    layer_norm("tiny_variance", 1.0 + d(3, 6, std=2.0) * 2.0**-20)
    layer_norm("small_values", d(3, 5) * 2.0**-12)
    x = d(3, 8)
    x[:, 5] = torch.tensor([40.0, -75.0, 300.0])
    layer_norm("outlier", x)
    layer_norm("width_one", d(3, 1), zero=("x", "weight"))
    layer_norm("width_two", d(3, 2))

    def rms_norm(name, x, eps=1e-6, offset=0.0, weight=True, zero=()):
        draw = Draw("norms", "rms_norm", name, "affine")
        width = (x.shape[-1],)
        args = {"x": x}
        if weight:
            args["weight"] = draw(*width, mean=1.0 - offset, std=0.5)
        group.add("rms_norm", name, {"eps": eps, "offset": offset, "cast": "before_weight"}, args,
                  lambda a: {"y": F.rms_norm(a["x"], width, offset + a["weight"] if "weight" in a else None, eps)},
                  zero=zero)

    d = Draw("norms", "rms_norm")
    rms_norm("plain", d(3, 7))
    rms_norm("three_axes", d(2, 2, 5))
    rms_norm("no_weight", d(3, 6), weight=False)
    rms_norm("offset_1", d(3, 5), offset=1.0)
    rms_norm("offset_1_no_weight", d(3, 5), offset=1.0, weight=False)
    rms_norm("eps_1e-3", d(3, 5, std=0.05), eps=1e-3)
    rms_norm("eps_half", d(3, 8), eps=0.5)
    rms_norm("big_mean", d(3, 5, mean=1e3))
    x = d(4, 6)
    x[2] = 0.0
    x[3] = -1.5
    rms_norm("zero_and_constant_row", x)
    rms_norm("small_values", d(3, 5) * 2.0**-12)
    rms_norm("width_one", d(3, 1))
    x = d(3, 6)
    args = {"x": x, "weight": d(6, std=0.3)}
    # Gemma's: the weight is learned around zero, and nothing is rounded before it.
    group.add("rms_norm", "gemma", {"eps": 1e-6, "offset": 1.0, "cast": "after_weight"}, args,
              lambda a: {"y": a["x"] * torch.rsqrt(a["x"].pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + a["weight"])})

    def rms_norm_outside(name, x, eps=1e-8):
        draw = Draw("norms", "rms_norm_outside", name, "affine")
        width = x.shape[-1]
        args = {"x": x, "weight": draw(width, mean=1.0, std=0.5)}
        group.add("rms_norm_outside", name, {"eps": eps}, args,
                  lambda a: {"y": a["weight"] * a["x"] / (a["x"].norm(2, dim=-1, keepdim=True) * width**-0.5 + eps)})

    d = Draw("norms", "rms_norm_outside")
    rms_norm_outside("plain", d(3, 7))
    rms_norm_outside("three_axes_eps_half", d(2, 2, 5), eps=0.5)
    rms_norm_outside("small_values_eps_1e-3", d(3, 5) * 2.0**-12, eps=1e-3)

    def partial_rms_norm(name, x, share, eps=1e-6):
        draw = Draw("norms", "partial_rms_norm", name, "affine")
        seen = math.ceil(x.shape[-1] * share)
        args = {"x": x, "weight": draw(x.shape[-1], mean=1.0, std=0.5)}
        group.add("partial_rms_norm", name, {"share": share, "eps": eps}, args,
                  lambda a: {"y": a["weight"] * a["x"] * torch.rsqrt(
                      a["x"][..., :seen].pow(2).mean(-1, keepdim=True) + eps)})

    d = Draw("norms", "partial_rms_norm")
    partial_rms_norm("as_published", d(3, 20), 0.0625)
    partial_rms_norm("three_axes_half", d(2, 2, 7), 0.5)
    partial_rms_norm("all", d(3, 5), 1.0)
    partial_rms_norm("eps_half", d(3, 8), 0.25, eps=0.5)

    def group_norm(name, x, groups, eps=1e-5, zero=()):
        draw = Draw("norms", "group_norm", name, "affine")
        c = x.shape[-1]
        args = {"x": x, "weight": draw(c, mean=1.0, std=0.5), "bias": draw(c)}
        group.add("group_norm", name, {"groups": groups, "eps": eps}, args,
                  lambda a: {"y": F.group_norm(a["x"], groups, a["weight"], a["bias"], eps)}, zero=zero)

    d = Draw("norms", "group_norm")
    group_norm("two_of_three", d(4, 6), 2)
    group_norm("one", d(3, 5), 1)
    group_norm("eight_eps_1e-2", d(2, 24), 8, eps=1e-2)
    group_norm("as_many_as_columns", d(3, 4), 4, zero=("x", "weight"))

    def l2_norm(name, x, eps=1e-12):
        group.add("l2_norm", name, {"eps": eps}, {"x": x}, lambda a: {"y": F.normalize(a["x"], dim=-1, eps=eps)})

    d = Draw("norms", "l2_norm")
    l2_norm("plain", d(3, 7))
    l2_norm("three_axes", d(2, 2, 5))
    l2_norm("eps_reached", torch.cat([d(2, 5), d(2, 5) * 2.0**-10]), eps=0.125)

    def power_norm(name, x, eps=1e-5, momentum=0.1, training=True):
        draw = Draw("norms", "power_norm", name, "affine")
        c = x.shape[1]
        args = {"x": x, "weight": draw(c, mean=1.0, std=0.5), "bias": draw(c), "running_psi2": draw(c).abs() + 0.5}

        def fn(a):
            psi2 = a["x"].pow(2).mean(0) if training else a["running_psi2"]
            moved = (1 - momentum) * a["running_psi2"] + momentum * psi2 if training else a["running_psi2"]
            return {"y": a["weight"] * a["x"] / (psi2 + eps).sqrt() + a["bias"], "running_psi2": moved}

        group.add("power_norm", name, {"eps": eps, "momentum": momentum, "training": training}, args, fn,
                  wrt=["x", "weight", "bias"])

    d = Draw("norms", "power_norm")
    power_norm("training", d(5, 4))
    power_norm("training_momentum_0.3_eps_1e-2", d(4, 5), eps=1e-2, momentum=0.3)
    power_norm("training_big_mean", d(5, 3, mean=300.0))
    power_norm("evaluation", d(5, 6), training=False)

    def scale_norm(name, x, eps=1e-5, weight=1.75):
        group.add("scale_norm", name, {"eps": eps}, {"x": x, "weight": torch.tensor([weight])},
                  lambda a: {"y": a["weight"] * F.normalize(a["x"], dim=-1, eps=eps)})

    d = Draw("norms", "scale_norm")
    scale_norm("plain", d(3, 7))
    scale_norm("three_axes_negative", d(2, 2, 5), weight=-0.625)
    scale_norm("eps_reached", torch.cat([d(2, 5), d(2, 5) * 2.0**-10]), eps=0.125)
    x = d(3, 6)
    x[1] = 0.0
    scale_norm("zero_row", x, eps=0.01)

    def batch_norm(name, x, eps=1e-5, momentum=0.1, training=True, zero=()):
        draw = Draw("norms", "batch_norm", name, "affine")
        c = x.shape[1]
        args = {"x": x, "weight": draw(c, mean=1.0, std=0.5), "bias": draw(c), "running_mean": draw(c),
                "running_var": draw(c).abs() + 0.5}

        def fn(a):
            mean, var = a["running_mean"].clone(), a["running_var"].clone()
            y = F.batch_norm(a["x"], mean, var, a["weight"], a["bias"], training, momentum, eps)
            return {"y": y, "running_mean": mean, "running_var": var}

        group.add("batch_norm", name, {"eps": eps, "momentum": momentum, "training": training}, args, fn,
                  wrt=["x", "weight", "bias"], zero=zero)

    d = Draw("norms", "batch_norm")
    batch_norm("training", d(5, 4))
    batch_norm("training_momentum_0.3_eps_1e-2", d(4, 5), eps=1e-2, momentum=0.3)
    batch_norm("training_two_rows", d(2, 5))
    batch_norm("training_big_mean", d(5, 3, mean=300.0))
    x = d(4, 5)
    x[:, 2] = 1.25
    batch_norm("training_constant_column", x)
    batch_norm("training_momentum_1", d(3, 5), momentum=1.0)
    batch_norm("evaluation", d(5, 6), training=False)
    batch_norm("evaluation_one_row_eps_0.1", d(1, 5), training=False, eps=0.1)

    def dynamic_tanh(name, x, alpha):
        draw = Draw("norms", "dynamic_tanh", name, "affine")
        w = x.shape[-1]
        args = {"x": x, "alpha": torch.tensor([alpha]), "weight": draw(w, mean=1.0, std=0.5), "bias": draw(w)}
        group.add("dynamic_tanh", name, {}, args,
                  lambda a: {"y": a["weight"] * torch.tanh(a["alpha"] * a["x"]) + a["bias"]})

    d = Draw("norms", "dynamic_tanh")
    dynamic_tanh("alpha_half", d(3, 6), 0.5)
    dynamic_tanh("three_axes_alpha_negative", d(2, 2, 5), -1.3)
    dynamic_tanh("saturated", d(3, 5, std=6.0), 2.0)

    def derf(name, x, alpha, shift):
        draw = Draw("norms", "derf", name, "affine")
        w = x.shape[-1]
        args = {"x": x, "alpha": torch.tensor([alpha]), "shift": torch.tensor([shift]),
                "weight": draw(w, mean=1.0, std=0.5), "bias": draw(w)}
        group.add("derf", name, {}, args,
                  lambda a: {"y": a["weight"] * torch.erf(a["alpha"] * a["x"] + a["shift"]) + a["bias"]})

    d = Draw("norms", "derf")
    derf("as_it_starts", d(3, 6), 0.5, 0.0)
    derf("three_axes_alpha_negative_shifted", d(2, 2, 5), -1.3, 0.4)
    derf("saturated", d(3, 5, std=6.0), 2.0, -0.7)

    def weight_standardize(name, weight, eps=1e-5, gain=True):
        # One sample whose channels are the output rows: batch_norm over it standardizes each row.
        draw = Draw("norms", "weight_standardize", name, "gain")
        rows = weight.shape[0]
        args = {"weight": weight}
        if gain:
            args["gain"] = draw(rows, mean=1.0, std=0.5)
        group.add("weight_standardize", name, {"eps": eps}, args, lambda a: {
            "y": F.batch_norm(a["weight"][None], None, None, a.get("gain"), None, True, 0.0, eps)[0]})

    d = Draw("norms", "weight_standardize")
    weight_standardize("gain", d(4, 7, std=0.3, mean=0.1))
    weight_standardize("no_gain_eps_1e-2", d(3, 5, std=0.3), eps=1e-2, gain=False)
    return group


# ---------------------------------------------------------------- forms of weights


def weights():
    group = Group("weights")

    def standardised(name, weight, eps=1e-5, deviation="population", root="outside", gain=True):
        draw = Draw("weights", "standardised", name, "gain")
        args = {"weight": weight}
        if gain:
            args["gain"] = draw(weight.shape[0], mean=1.0, std=0.5)

        def fn(a):
            centred = a["weight"] - a["weight"].mean(1, keepdim=True)
            var = a["weight"].var(1, keepdim=True, correction=int(deviation == "unbiased"))
            y = centred / (var.sqrt() + eps if root == "outside" else (var + eps).sqrt())
            return {"y": y * a["gain"][:, None] if gain else y}

        group.add("standardised", name, {"eps": eps, "deviation": deviation, "root": root}, args, fn)

    d = Draw("weights", "standardised")
    standardised("plain", d(4, 7, std=0.3, mean=0.1))
    standardised("unbiased", d(4, 5, std=0.3), deviation="unbiased")
    standardised("inside_eps_1e-2", d(3, 5, std=0.3), eps=1e-2, root="inside", gain=False)
    standardised("unbiased_eps_half", d(3, 6), eps=0.5, deviation="unbiased")

    def scaled_standardised(name, weight, eps=1e-4, floor="floor", gamma=1.0):
        draw = Draw("weights", "scaled_standardised", name, "gain")
        args = {"weight": weight, "gain": draw(weight.shape[0], mean=1.0, std=0.5)}
        n = weight.shape[1]

        def fn(a):
            if floor == "added":
                # As timm has it.
                scale = a["gain"] * gamma * n**-0.5
                return {"y": F.batch_norm(a["weight"][None], None, None, scale, None, True, 0.0, eps)[0]}
            var, mean = torch.var_mean(a["weight"], 1, keepdim=True, correction=0)
            scale = torch.rsqrt(torch.clamp(var * n, min=eps)) * a["gain"][:, None]
            return {"y": gamma * (a["weight"] * scale - mean * scale)}

        group.add("scaled_standardised", name, {"eps": eps, "floor": floor, "gamma": gamma}, args, fn)

    d = Draw("weights", "scaled_standardised")
    scaled_standardised("plain", d(4, 7, std=0.3, mean=0.1))
    scaled_standardised("below_the_floor", torch.cat([d(2, 5), d(2, 5) * 2.0**-10]), eps=0.125)
    scaled_standardised("added", d(3, 6, std=0.3), eps=1e-6, floor="added")
    scaled_standardised("added_eps_half_relu", d(3, 5), eps=0.5, floor="added", gamma=1.7139588594436646)

    def weight_norm(name, weight):
        draw = Draw("weights", "weight_norm", name, "gain")
        args = {"weight": weight, "gain": draw(weight.shape[0], mean=1.0, std=0.5)}
        group.add("weight_norm", name, {"eps": 1e-12}, args,
                  lambda a: {"y": torch._weight_norm(a["weight"], a["gain"][:, None], 0)})

    d = Draw("weights", "weight_norm")
    weight_norm("plain", d(4, 7, std=0.3))
    weight_norm("three_by_two", d(3, 2))

    def sigma_reparam(name, weight):
        draw = Draw("weights", "sigma_reparam", name, "state")
        v, u = F.normalize(draw(weight.shape[0]), dim=0), F.normalize(draw(weight.shape[1]), dim=0)
        args = {"weight": weight, "v": v, "u": u, "gamma": torch.tensor([1.375])}
        group.add("sigma_reparam", name, {}, args,
                  lambda a: {"y": a["gamma"] * a["weight"] / torch.einsum("o,oi,i->", a["v"], a["weight"], a["u"])},
                  wrt=["weight", "gamma"])

    d = Draw("weights", "sigma_reparam")
    sigma_reparam("tall", d(5, 3))
    sigma_reparam("wide", d(2, 6))

    def power_iteration(name, weight):
        u = F.normalize(Draw("weights", "power_iteration", name, "state")(weight.shape[1]), dim=0)

        def fn(a):
            v = F.normalize(a["weight"].mv(a["u"]), dim=0)
            return {"y": v, "u": F.normalize(a["weight"].T.mv(v), dim=0)}

        group.add("power_iteration", name, {}, {"weight": weight, "u": u}, fn, wrt=None)

    d = Draw("weights", "power_iteration")
    power_iteration("tall", d(5, 3))
    power_iteration("wide", d(2, 6))
    return group


# ---------------------------------------------------------------- activations


def activations():
    group = Group("activations")
    for fn, act in ACTIVATIONS.items():
        d = Draw("activations", fn)
        x = torch.cat([torch.arange(-24, 25) / 2.0, d(11), d(8, std=5.0)])
        group.add("activation", fn, {"fn": fn}, {"x": x}, lambda a: {"y": act(a["x"])}, smooth=fn != "relu")
        group.add("activation", fn + "_shape", {"fn": fn}, {"x": d(1, 2, 3)}, lambda a: {"y": act(a["x"])})
    return group


# ---------------------------------------------------------------- attention


def attend(q, k, v, mask=None, bias=None, causal=False, scale=None, softcap=0.0):
    """F.scaled_dot_product_attention; a row that may attend to nothing gives zeros.

    causal is bottom-right aligned, PyTorch's is_causal top-left, so the mask is built here. It has no
    soft cap, which is written out.
    """
    tq, tk = q.shape[-2], k.shape[-2]
    allowed = torch.ones(1, 1, tq, tk, dtype=torch.bool)
    if causal:
        allowed = allowed.tril(diagonal=tk - tq)
    if mask is not None:
        allowed = allowed & (mask != 0)
    some = allowed.any(-1, keepdim=True)
    safe = allowed | ~some
    attn_mask = safe if bias is None else bias.masked_fill(~safe, -math.inf)
    if softcap:
        k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
        scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        scores = softcap * torch.tanh(scores / softcap) + (0.0 if bias is None else bias)
        y = torch.softmax(scores.masked_fill(~safe, -math.inf), -1) @ v
        return torch.where(some, y, 0.0)
    with sdpa_kernel(SDPBackend.MATH):
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, scale=scale,
                                           enable_gqa=q.shape[1] != k.shape[1])
    return torch.where(some, y, 0.0)


def turn(x, base, offset, interleaved):
    """Rotary positions as a product of complex numbers; x is [B, H, T, K]."""
    *_, t, k = x.shape
    angle = torch.outer(torch.arange(t) + float(offset), base ** (-torch.arange(0, k, 2) / k))
    unit = torch.polar(torch.ones_like(angle), angle)
    if interleaved:
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * unit).flatten(-2)
    z = torch.complex(x[..., :k // 2].contiguous(), x[..., k // 2:].contiguous()) * unit
    return torch.cat([z.real, z.imag], -1)


def attention():
    group = Group("attention")

    def case(name, b=2, hq=2, hk=None, tq=4, tk=None, k=3, causal=False, scale=None, mask=None, bias=False, std=1.0,
             softcap=0.0, zero=()):
        d = Draw("attention", "attention", name)
        hk, tk = hk or hq, tk or tq
        args = {"q": d(b, hq, tq, k, std=std), "k": d(b, hk, tk, k, std=std), "v": d(b, hk, tk, k)}
        if mask is not None:
            m = (d.raw(b, 1, tq, tk) > -0.4).to(torch.uint8)
            m[..., 0] |= m.sum(-1) == 0
            for row in mask:
                m[row] = 0
            args["mask"] = m
        if bias:
            args["bias"] = d(1, hq, tq, tk)
        group.add("attention", name, {"causal": causal, "scale": scale, "softcap": softcap}, args,
                  lambda a: {"y": attend(a["q"], a["k"], a["v"], a.get("mask"), a.get("bias"), causal, scale, softcap)},
                  zero=zero)
        if mask:
            for row in mask:
                at = (row[0], slice(None), row[2])
                assert (group.cases[-1]["outputs"]["y"][at] == 0).all()

    case("plain", tq=3)
    case("odd_sizes", b=1, hq=3, tq=5, k=2)
    case("causal", b=1, causal=True)
    case("mask", tq=3, mask=[])
    case("mask_empty_rows", tq=3, mask=[(0, 0, 1), (1, 0, 2)])
    case("bias", b=1, tq=3, bias=True)
    case("mask_bias_causal_empty_row", b=2, tq=3, causal=True, bias=True, mask=[(1, 0, 2)])
    case("grouped_4_by_2", b=1, hq=4, hk=2, tq=3)
    case("grouped_3_by_1_causal", b=2, hq=3, hk=1, tq=3, k=2, causal=True)
    case("longer_keys", b=1, tq=3, tk=5)
    case("longer_keys_causal", b=1, tq=2, tk=5, causal=True)
    case("one_query_causal", b=1, tq=1, tk=5, causal=True)
    case("longer_queries_causal_empty_rows", b=1, tq=5, tk=3, causal=True)
    case("scale_0.3", b=1, tq=3, scale=0.3, k=5)
    case("scale_1_large_scores", b=1, scale=1.0, tq=3, std=4.0)
    case("longer_keys_grouped_mask_bias_scale", b=2, hq=4, hk=2, tq=2, tk=4, k=2, scale=1.1, mask=[(0, 0, 0)],
         bias=True)
    case("softcap", b=1, tq=3, softcap=1.5)
    case("softcap_gemma_2", b=1, hq=4, hk=2, tq=4, k=4, causal=True, softcap=50.0, std=4.0)
    case("softcap_mask_bias_scale", b=2, hq=2, tq=3, tk=4, scale=1.3, mask=[(1, 0, 2)], bias=True, softcap=0.75)

    def softmax(name, x, smooth=True, zero=()):
        group.add("softmax", name, {}, {"x": x}, lambda a: {"y": F.softmax(a["x"], -1)}, smooth=smooth, zero=zero)

    d = Draw("attention", "softmax")
    softmax("plain", d(3, 7))
    softmax("three_axes_offset", d(2, 2, 5, mean=800.0))
    softmax("wide_range", d(3, 6, std=30.0))
    x = d(3, 5)
    x[0, 1] = x[0, 4] = x[2, 0] = LOWEST
    softmax("lowest_entries", x, smooth=False)
    softmax("width_one", d(3, 1), zero=("x",))

    def rotary(name, b, h, t, k, base=10000.0, offset=0, interleaved=False):
        d = Draw("attention", "rotary", name)
        group.add("rotary", name, {"base": base, "offset": offset, "interleaved": interleaved}, {"x": d(b, h, t, k)},
                  lambda a: {"y": turn(a["x"], base, offset, interleaved)})

    rotary("plain", 1, 2, 3, 6)
    rotary("offset_7", 2, 1, 3, 4, offset=7)
    rotary("width_two", 1, 1, 5, 2)
    rotary("interleaved", 1, 2, 3, 6, interleaved=True)

    def softcap(name, x, cap):
        group.add("softcap", name, {"cap": cap}, {"x": x}, lambda a: {"y": torch.tanh(a["x"] / cap) * cap})

    d = Draw("attention", "softcap")
    softcap("gemma_2", d(3, 5, std=20.0), 30.0)
    softcap("saturated", d(2, 6), 0.25)
    return group


# ---------------------------------------------------------------- losses


def losses():
    group = Group("losses")

    def cross_entropy(name, r, v, reduction="mean", ignore_index=-100, label_smoothing=0.0, ignored=(), std=1.5,
                      mean=0.0, huge=()):
        d = Draw("losses", "cross_entropy", name)
        logits, target = d(r, v, std=std, mean=mean), d.tokens(v, r)
        if ignore_index >= 0:
            target[target == ignore_index] = (ignore_index + 1) % v
        for row in ignored:
            target[row] = ignore_index
        for row in huge:
            logits[row] *= 2.0**40
        kept = bool((target != ignore_index).any())
        # PyTorch gives 0/0 for a mean over nothing; the contract is 0, which its sum has.
        torch_reduction = "sum" if reduction == "mean" and not kept else reduction
        group.add("cross_entropy", name,
                  {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction},
                  {"logits": logits, "target": target},
                  lambda a: {"loss": F.cross_entropy(a["logits"], a["target"], ignore_index=ignore_index,
                                                     label_smoothing=label_smoothing, reduction=torch_reduction)},
                  zero=() if kept else ("logits",), smooth=not huge)
        grad = group.cases[-1]["grads"]["dlogits"]
        for row in ignored:
            assert (grad[row] == 0).all()

    cross_entropy("mean", 5, 7)
    cross_entropy("sum", 4, 6, reduction="sum")
    cross_entropy("none", 4, 5, reduction="none")
    cross_entropy("ignore_mean", 5, 6, ignored=(1, 4))
    cross_entropy("ignore_2_sum", 5, 6, reduction="sum", ignore_index=2, ignored=(0, 3))
    cross_entropy("ignore_none", 4, 5, reduction="none", ignored=(2,))
    cross_entropy("smoothing_0.1_mean", 5, 7, label_smoothing=0.1)
    cross_entropy("smoothing_0.1_sum", 3, 6, label_smoothing=0.1, reduction="sum")
    cross_entropy("smoothing_0.1_none_ignore", 4, 5, label_smoothing=0.1, reduction="none", ignored=(1,))
    cross_entropy("smoothing_0.1_mean_ignore_0", 5, 6, label_smoothing=0.1, ignore_index=0, ignored=(2, 3))
    cross_entropy("smoothing_1_mean", 3, 5, label_smoothing=1.0)
    cross_entropy("all_ignored_mean", 3, 5, ignored=(0, 1, 2))
    cross_entropy("all_ignored_sum", 3, 5, reduction="sum", ignored=(0, 1, 2))
    cross_entropy("all_ignored_none", 3, 5, reduction="none", ignored=(0, 1, 2))
    cross_entropy("all_ignored_smoothing_mean", 3, 5, label_smoothing=0.1, ignored=(0, 1, 2))
    cross_entropy("large_logits", 4, 6, std=60.0)
    cross_entropy("offset_logits", 3, 5, mean=900.0)
    cross_entropy("ignored_huge_row", 4, 5, ignored=(1,), huge=(1,))
    cross_entropy("two_classes", 4, 2)

    for name, shape in (("plain", (4, 5)), ("three_axes", (2, 3, 4)), ("one", (1,))):
        d = Draw("losses", "mse", name)
        group.add("mse", name, {"reduction": "mean"}, {"x": d(*shape), "target": d(*shape)},
                  lambda a: {"loss": F.mse_loss(a["x"], a["target"], reduction="mean")}, wrt=["x"])

    def likelihood(op, name, numbers, shape, cost, std=1.0, far=1.0):
        d = Draw("losses", op, name)
        args = {"prediction": d(*shape[:-1], numbers * shape[-1], std=std), "target": d(*shape, std=far)}
        # The numbers of a target stand side by side.
        group.add(op, name, {"reduction": "mean"}, args, lambda a: {
            "loss": cost(*a["prediction"].reshape(*shape, numbers).unbind(-1), a["target"]).mean()})

    def gaussian(location, log_scale, y):
        return F.gaussian_nll_loss(location, y, torch.exp(2 * log_scale), full=True, eps=1e-300, reduction="none")

    def student(location, log_scale, r, y):
        return -StudentT(2 + F.softplus(r), location, torch.exp(log_scale)).log_prob(y)

    for name, shape, std, far in (("plain", (4, 5), 1.0, 1.0), ("three_axes", (2, 3, 1), 1.0, 1.0), ("one", (1,), 1.0, 1.0),
                                  ("wide", (3, 2), 3.0, 1.0), ("far_targets", (3, 4), 0.5, 100.0)):
        likelihood("gaussian_nll", name, 2, shape, gaussian, std, far)
        likelihood("student_nll", name, 3, shape, student, std, far)

    for name, shape, std, hard in (("plain", (4, 5), 1.0, False), ("hard_targets", (2, 3, 4), 1.0, True),
                                   ("one", (1,), 1.0, False), ("large_logits", (3, 5), 60.0, True)):
        d = Draw("losses", "binary_cross_entropy", name)
        target = d(*shape).abs().clamp_max(1)
        args = {"logits": d(*shape, std=std), "target": torch.round(target) if hard else target}
        group.add("binary_cross_entropy", name, {"reduction": "mean"}, args,
                  lambda a: {"loss": F.binary_cross_entropy_with_logits(a["logits"], a["target"])})
    return group


# ---------------------------------------------------------------- linear, feed_forward, embedding


def feed(x, fn, up, down, gate=None, up_bias=None, down_bias=None):
    hidden = F.linear(x, up, up_bias)
    hidden = ACTIVATIONS[fn](hidden) if gate is None else ACTIVATIONS[fn](F.linear(x, gate)) * hidden
    return F.linear(hidden, down, down_bias)


def linear():
    group = Group("linear")
    for name, lead, i, o, bias in (("plain", (4,), 5, 7, False), ("bias", (3,), 7, 5, True),
                                   ("three_axes_bias", (2, 3), 5, 4, True), ("one_row_out_one", (1,), 6, 1, True),
                                   ("in_one", (3,), 1, 5, False)):
        d = Draw("linear", "linear", name)
        args = {"x": d(*lead, i), "weight": d(o, i)}
        if bias:
            args["bias"] = d(o)
        group.add("linear", name, {}, args, lambda a: {"y": F.linear(a["x"], a["weight"], a.get("bias"))})

    for fn in ACTIVATIONS:
        for gated in (False, True):
            name = fn + ("_gated" if gated else "_plain")
            d = Draw("linear", "feed_forward", name)
            lead = (1, 3) if fn == "silu" else (2,)
            args = {"x": d(*lead, 5), "up": d(6, 5, std=0.6), "down": d(5, 6, std=0.6)}
            if gated:
                args["gate"] = d(6, 5, std=0.6)
            group.add("feed_forward", name, {"fn": fn}, args,
                      lambda a: {"y": feed(a["x"], fn, a["up"], a["down"], a.get("gate"))})

    for name, positions in (("repeated_tokens", False), ("learned_positions", True)):
        d = Draw("linear", "embedding", name)
        args = {"tokens": torch.tensor([[3, 1, 3, 0], [5, 3, 1, 1]]), "embed.weight": d(7, 5)}
        if positions:
            args["positions.weight"] = d(6, 5)
        group.add("embedding", name, {}, args, lambda a: {"y": embed(a)})
    return group


def embed(a):
    x = F.embedding(a["tokens"], a["embed.weight"])
    if "positions.weight" in a:
        x = x + F.embedding(torch.arange(a["tokens"].shape[1]), a["positions.weight"])
    return x


# ---------------------------------------------------------------- residual, transformer_block


def normed(x, a, name, norm, eps):
    weight = a[name + ".weight"]
    if norm == "rms_norm":
        return F.rms_norm(x, weight.shape, weight, eps)
    return F.layer_norm(x, weight.shape, weight, a[name + ".bias"], eps)


def block(x, a, prefix, attrs):
    p = {k[len(prefix):]: v for k, v in a.items() if k.startswith(prefix)}
    b, t, d = x.shape
    heads, kv = attrs["heads"], attrs["kv_heads"]

    def project(x, name):
        return F.linear(x, p[f"attn.{name}.weight"], p.get(f"attn.{name}.bias"))

    def attn(x):
        q, k, v = (project(x, n).view(b, t, h, d // heads).transpose(1, 2)
                   for n, h in (("q", heads), ("k", kv), ("v", kv)))
        return project(attend(q, k, v, causal=attrs["causal"]).transpose(1, 2).reshape(b, t, d), "out")

    def ffn(x):
        return feed(x, attrs["fn"], p["ffn.up.weight"], p["ffn.down.weight"], p.get("ffn.gate.weight"),
                    p.get("ffn.up.bias"), p.get("ffn.down.bias"))

    for name, branch in (("norm1", attn), ("norm2", ffn)):
        def n(x):
            return normed(x, p, name, attrs["norm"], attrs["eps"])
        wiring = attrs["wiring"]
        if wiring == "pre_ln":
            x = x + branch(n(x))
        elif wiring == "post_ln":
            x = n(x + branch(x))
        else:
            assert wiring == "deepnorm"
            x = n(attrs["alpha"] * x + branch(x))
    return x


def block_attrs(heads, kv_heads=None, causal=True, norm="layer_norm", wiring="pre_ln", fn="relu", eps=1e-5, alpha=1.0):
    return {"heads": heads, "kv_heads": kv_heads or heads, "causal": causal, "norm": norm, "wiring": wiring, "fn": fn,
            "eps": eps, "alpha": alpha}


def block_params(d, prefix, attrs, width, hidden, gated, attn_bias, ffn_bias, out_bias=None):
    p = {}
    kv = width // attrs["heads"] * attrs["kv_heads"]

    def norm(name):
        p[prefix + name + ".weight"] = d(width, mean=1.0, std=0.3)
        if attrs["norm"] == "layer_norm":
            p[prefix + name + ".bias"] = d(width, std=0.3)

    def matrix(name, out, inp, bias):
        p[prefix + name + ".weight"] = d(out, inp, std=1.2 / math.sqrt(inp))
        if bias:
            p[prefix + name + ".bias"] = d(out, std=0.3)

    norm("norm1")
    for name, out in (("q", width), ("k", kv), ("v", kv)):
        matrix("attn." + name, out, width, attn_bias)
    matrix("attn.out", width, width, attn_bias if out_bias is None else out_bias)
    norm("norm2")
    matrix("ffn.up", hidden, width, ffn_bias)
    if gated:
        matrix("ffn.gate", hidden, width, False)
    matrix("ffn.down", width, hidden, ffn_bias)
    return p


def blocks():
    group = Group("block")

    def residual(name, wiring, alpha=1.0, eps=1e-5, lead=(3,), width=5):
        d = Draw("block", "residual", name)
        args = {"x": d(*lead, width), "branch": d(width, width, std=0.6), "norm_weight": d(width, mean=1.0, std=0.4),
                "norm_bias": d(width, std=0.5)}

        def fn(a):
            def n(x):
                return F.layer_norm(x, (width,), a["norm_weight"], a["norm_bias"], eps)

            def f(x):
                return F.linear(x, a["branch"])

            x = a["x"]
            return {"y": {"pre_ln": lambda: x + f(n(x)), "post_ln": lambda: n(x + f(x)),
                          "deepnorm": lambda: n(alpha * x + f(x)), "sandwich_ln": lambda: x + n(f(n(x)))}[wiring]()}

        group.add("residual", name, {"wiring": wiring, "alpha": alpha, "eps": eps}, args, fn)

    residual("pre_ln", "pre_ln")
    residual("post_ln", "post_ln", width=6)
    residual("deepnorm_alpha_2.2", "deepnorm", alpha=2.2)
    residual("sandwich_ln", "sandwich_ln", width=6)
    residual("pre_ln_eps_0.1_three_axes", "pre_ln", eps=0.1, lead=(2, 2))
    residual("sandwich_ln_eps_0.1", "sandwich_ln", eps=0.1)
    residual("post_ln_alpha_ignored", "post_ln", alpha=3.0)

    def case(name, b=2, t=3, width=4, hidden=5, gated=False, attn_bias=False, ffn_bias=False, out_bias=None, **kw):
        d = Draw("block", "transformer_block", name)
        attrs = block_attrs(**kw)
        args = {"x": d(b, t, width), **block_params(d, "", attrs, width, hidden, gated, attn_bias, ffn_bias, out_bias)}
        # A bias of all keys alike adds one number to all scores of a row.
        group.add("transformer_block", name, attrs, args, lambda a: {"y": block(a["x"], a, "", attrs)},
                  zero=("attn.k.bias",))

    # Every wiring with every norm, plain relu and gated silu; the other axes are spread over the twelve.
    silu = {"fn": "silu", "gated": True}
    case("pre_ln_layer_norm_relu", heads=2, causal=True, attn_bias=True, ffn_bias=True)
    case("pre_ln_layer_norm_gated_silu", heads=4, kv_heads=2, causal=False, width=8, hidden=3, t=2, b=1, **silu)
    case("pre_ln_rms_norm_relu", norm="rms_norm", heads=2, kv_heads=1, causal=False, eps=1e-3)
    case("pre_ln_rms_norm_gated_silu", norm="rms_norm", heads=3, causal=True, width=6, hidden=4, b=1, **silu)
    case("post_ln_layer_norm_relu", wiring="post_ln", heads=2, causal=False, attn_bias=True, ffn_bias=True, eps=0.01,
         b=1)
    case("post_ln_layer_norm_gated_silu", b=1, wiring="post_ln", heads=2, kv_heads=1, causal=True, **silu)
    case("post_ln_rms_norm_relu", wiring="post_ln", norm="rms_norm", heads=4, kv_heads=2, causal=True, ffn_bias=True)
    case("post_ln_rms_norm_gated_silu", wiring="post_ln", norm="rms_norm", heads=1, causal=False, b=1, t=4, **silu)
    case("deepnorm_layer_norm_relu", wiring="deepnorm", alpha=1.8, heads=2, kv_heads=1, causal=True, attn_bias=True,
         out_bias=False, b=1)
    case("deepnorm_layer_norm_gated_silu", wiring="deepnorm", alpha=2.5, heads=2, causal=False, ffn_bias=True, b=1,
         **silu)
    case("deepnorm_rms_norm_relu", wiring="deepnorm", norm="rms_norm", alpha=1.3, heads=2, causal=False, b=1, t=5)
    case("deepnorm_rms_norm_gated_silu", wiring="deepnorm", norm="rms_norm", alpha=0.7, heads=4, kv_heads=1,
         b=1, t=4, **silu)
    case("pre_ln_gated_gelu_tanh", heads=2, causal=True, fn="gelu_tanh", gated=True, b=1)

    def encoder_layer(name, norm_first, causal=False, fn="relu", width=6, hidden=5, heads=2, b=1, t=3):
        """nn.TransformerEncoderLayer itself; the three projections of nn.MultiheadAttention are one tensor there."""
        d = Draw("block", "encoder_layer", name)
        attrs = block_attrs(heads, causal=causal, wiring="pre_ln" if norm_first else "post_ln", fn=fn)
        args = {"x": d(b, t, width), **block_params(d, "", attrs, width, hidden, False, True, True)}
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, activation=ACTIVATIONS[fn],
                                           layer_norm_eps=attrs["eps"], batch_first=True, norm_first=norm_first)
        src_mask = nn.Transformer.generate_square_subsequent_mask(t) if causal else None

        def fn_(a):
            names = {"self_attn.out_proj": "attn.out", "linear1": "ffn.up", "linear2": "ffn.down", "norm1": "norm1",
                     "norm2": "norm2"}
            params = {f"{theirs}.{part}": a[f"{ours}.{part}"] for theirs, ours in names.items()
                      for part in ("weight", "bias")}
            for part in ("weight", "bias"):
                params["self_attn.in_proj_" + part] = torch.cat([a[f"attn.{n}.{part}"] for n in "qkv"])
            assert params.keys() == dict(layer.named_parameters()).keys()
            with sdpa_kernel(SDPBackend.MATH):
                y = torch.func.functional_call(layer, params, (a["x"],), {"src_mask": src_mask, "is_causal": causal})
            return {"y": y}

        done = group.add("transformer_block", name, attrs, args, fn_, zero=("attn.k.bias",))
        # The composition used for the other cases is PyTorch's where PyTorch has one.
        ours = Group("block").add("transformer_block", name, attrs, args, lambda a: {"y": block(a["x"], a, "", attrs)},
                                  zero=("attn.k.bias",))
        for part in ("outputs", "grads"):
            for key, t in done[part].items():
                assert torch.allclose(t, ours[part][key], rtol=1e-10, atol=1e-12), (name, part, key)

    encoder_layer("encoder_layer_norm_first", True)
    encoder_layer("encoder_layer_norm_last", False)
    encoder_layer("encoder_layer_norm_first_causal_gelu", True, causal=True, fn="gelu", width=4, b=2)
    return group


# ---------------------------------------------------------------- transformer_stack


def stacks():
    group = Group("stack")

    def case(name, depth, b=2, t=3, width=4, hidden=5, vocab=7, gated=False, attn_bias=False, ffn_bias=False,
             positions=0, embed_norm=False, final_norm=True, tied=True, ignored=(), ignore_index=-100, **kw):
        d = Draw("stack", "transformer_stack", name)
        attrs = {**block_attrs(**kw), "depth": depth, "ignore_index": ignore_index}
        args = {"tokens": d.tokens(vocab, b, t), "targets": d.tokens(vocab, b, t), "embed.weight": d(vocab, width)}
        args["tokens"][0, -1] = args["tokens"][0, 0]
        if ignore_index >= 0:
            args["targets"][args["targets"] == ignore_index] = (ignore_index + 1) % vocab
        for at in ignored:
            args["targets"][at] = ignore_index

        def norm(name):
            args[name + ".weight"] = d(width, mean=1.0, std=0.3)
            if attrs["norm"] == "layer_norm":
                args[name + ".bias"] = d(width, std=0.3)

        if positions:
            args["positions.weight"] = d(positions, width, std=0.5)
        if embed_norm:
            norm("embed_norm")
        for i in range(depth):
            args.update(block_params(d, f"blocks.{i}.", attrs, width, hidden, gated, attn_bias, ffn_bias))
        if final_norm:
            norm("norm")
        if not tied:
            args["head.weight"] = d(vocab, width)

        def fn(a):
            x = embed(a)
            if embed_norm:
                x = normed(x, a, "embed_norm", attrs["norm"], attrs["eps"])
            for i in range(depth):
                x = block(x, a, f"blocks.{i}.", attrs)
            if final_norm:
                x = normed(x, a, "norm", attrs["norm"], attrs["eps"])
            logits = F.linear(x, a.get("head.weight", a["embed.weight"]))
            loss = F.cross_entropy(logits.flatten(0, 1), a["targets"].flatten(), ignore_index=ignore_index)
            return {"loss": loss, "logits": logits}

        group.add("transformer_stack", name, attrs, args, fn,
                  zero=[f"blocks.{i}.attn.k.bias" for i in range(depth)])

    case("pre_ln_tied", 2, heads=2, causal=True)
    case("pre_ln_depth_3_positions_head_gated_silu", 3, heads=2, kv_heads=1, positions=5, tied=False, fn="silu",
         hidden=3, vocab=6, gated=True, norm="rms_norm", b=1, t=4)
    case("post_ln_embed_norm", 2, wiring="post_ln", heads=2, embed_norm=True, final_norm=False, attn_bias=True,
         ffn_bias=True, hidden=4, fn="gelu", ignored=((1, 0), (0, 2)))
    case("post_ln_embed_norm_depth_3_head", 3, wiring="post_ln", heads=2, embed_norm=True, final_norm=False,
         tied=False, causal=False, hidden=3, vocab=6, b=1, t=4, eps=1e-3)
    case("deepnorm_rms_norm_positions", 2, wiring="deepnorm", alpha=1.6, heads=4, kv_heads=2, norm="rms_norm",
         final_norm=False, positions=3, ignore_index=0, ignored=((0, 1),))
    return group


# ---------------------------------------------------------------- optimizer


def optimizers():
    group = Group("optimizer")

    def steps(op, name, make, attrs, state, rates, shape):
        """One case for each step; the state that goes in is the state that came out of the step before."""
        d = Draw("optimizer", op, name)
        p = d(*shape).requires_grad_()
        optimizer = make([p])
        before = {k: torch.zeros(shape) for k in state}
        for i, lr in enumerate(rates, 1):
            start = p.detach().clone()
            p.grad = d(*shape, mean=0.1) * (0.0 if i == 4 else 1.0)
            p.grad.view(-1)[0] = 1e-7
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
            after = {k: optimizer.state[p][theirs].clone() for k, theirs in state.items()}
            step = {"step": i} if op == "adamw" else {}
            group.add(op, f"{name}_step_{i}", {**step, "lr": lr, **attrs}, {"p": start, "g": p.grad.clone(), **before},
                      lambda a: {"p": p.detach().clone(), **after}, wrt=None)
            before = after

    for name, decay, eps, rates in (("decay_0", 0.0, 1e-8, [0.01] * 5), ("decay_0.1", 0.1, 1e-8, [0.01] * 5),
                                    ("decay_0.1_eps_1e-3_rates", 0.1, 1e-3, [0.01, 0.02, 0.03, 0.02, 0.005])):
        steps("adamw", name,
              lambda ps: torch.optim.AdamW(ps, lr=1.0, betas=(0.9, 0.95), eps=eps, weight_decay=decay, foreach=False),
              {"beta1": 0.9, "beta2": 0.95, "eps": eps, "weight_decay": decay}, {"m": "exp_avg", "v": "exp_avg_sq"},
              rates, (5,))
    steps("sgd", "momentum_0.9",
          lambda ps: torch.optim.SGD(ps, lr=1.0, momentum=0.9, weight_decay=0.0, foreach=False),
          {"momentum": 0.9, "weight_decay": 0.0}, {"m": "momentum_buffer"}, [0.1, 0.1, 0.05, 0.05, 0.1], (2, 2))

    def clip(name, max_norm, loss_scale=1.0, std=1.0, shapes=((3, 5), (4,), (1,))):
        d = Draw("optimizer", "clip_grad_norm", name)
        args = {f"g{i}": d(*s, std=std) * loss_scale for i, s in enumerate(shapes)}

        def fn(a):
            ps = [nn.Parameter(torch.zeros_like(g)) for g in a.values()]
            for p, g in zip(ps, a.values()):
                p.grad = g / loss_scale
            norm = nn.utils.clip_grad_norm_(ps, max_norm, foreach=False)
            return {**{k: p.grad for k, p in zip(a, ps)}, "norm": norm}

        group.add("clip_grad_norm", name, {"max_norm": max_norm, "loss_scale": loss_scale}, args, fn, wrt=None)
        norm = group.cases[-1]["outputs"]["norm"].item()
        assert (norm > max_norm) == name.startswith("above"), (name, norm)

    clip("above", 1.0)
    clip("below", 100.0)
    clip("above_loss_scale_1024", 0.5, loss_scale=1024.0)
    clip("below_loss_scale_1024", 50.0, loss_scale=1024.0)
    clip("above_tiny_norm", 1e-6, std=0.01)
    clip("below_zero", 1.0, std=0.0)
    clip("above_one_tensor", 2.0, shapes=((4, 6),))
    return group


# ---------------------------------------------------------------- schedule


def rate(kind, lr, warmup, total, s):
    if s < warmup:
        return lr * (s + 1) / warmup
    f = min(max((s - warmup) / max(total - warmup, 1), 0.0), 1.0)
    return {"constant": lr, "linear": lr * (1 - f), "cosine": lr * 0.5 * (1 + math.cos(math.pi * f))}[kind]


def torch_rates(kind, lr, warmup, total):
    """The same schedule from PyTorch's schedulers, for the steps 0..total."""
    o = torch.optim.lr_scheduler
    parts, ends = [], []
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    if warmup > 1:
        parts.append(o.LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1))
        ends.append(warmup)
    n = total - warmup
    parts.append({"constant": lambda: o.ConstantLR(optimizer, factor=1.0),
                  "linear": lambda: o.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=n),
                  "cosine": lambda: o.CosineAnnealingLR(optimizer, T_max=n)}[kind]())
    scheduler = o.SequentialLR(optimizer, parts, ends) if ends else parts[0]
    out = []
    for _ in range(total + 1):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


def schedules():
    group = Group("schedule")
    for kind in ("constant", "linear", "cosine"):
        for lr, warmup, total in ((3e-4, 4, 17), (0.1, 0, 10), (0.5, 5, 5), (1e-3, 7, 4), (0.02, 1, 9)):
            step = torch.cat([torch.arange(total + 3), torch.tensor([1000])])
            values = [rate(kind, lr, warmup, total, s) for s in step.tolist()]
            if warmup < total and warmup != 1:
                theirs = torch_rates(kind, lr, warmup, total)
                assert all(abs(a - b) < 1e-12 * lr for a, b in zip(values, theirs)), (kind, warmup, total)
            group.add("lr_schedule", f"{kind}_warmup_{warmup}_total_{total}",
                      {"kind": kind, "lr": lr, "warmup": warmup, "total": total}, {"step": step},
                      lambda a: {"lr": torch.tensor(values)}, wrt=None)
    return group


# ---------------------------------------------------------------- init


class Asked(torch.Tensor):
    """A tensor that notes what PyTorch's initializers ask of it."""

    def uniform_(self, low, high, **_):
        assert low == -high
        self.asked = {"std": high / math.sqrt(3.0), "bound": high}
        return self

    def normal_(self, mean, std, **_):
        assert mean == 0
        self.asked = {"std": std}
        return self


def inits():
    init, cases = nn.init, []
    relu = init.calculate_gain("relu")
    def xavier(i, o):
        return math.sqrt(2 / (i + o))

    schemes = {
        "xavier_uniform": (lambda w, gain: init.xavier_uniform_(w, gain=gain), xavier, True),
        "xavier_normal": (lambda w, gain: init.xavier_normal_(w, gain=gain), xavier, True),
    }
    # The gain of the kaiming functions follows from the nonlinearity: sqrt(2) for relu, 1 for linear.
    for scheme, nonlinearity, std in (("kaiming", "relu", lambda i, o: relu / math.sqrt(i)),
                                      ("lecun", "linear", lambda i, o: 1 / math.sqrt(i))):
        for kind, draw in (("uniform", init.kaiming_uniform_), ("normal", init.kaiming_normal_)):
            schemes[f"{scheme}_{kind}"] = (
                lambda w, gain, draw=draw, nl=nonlinearity: draw(w, nonlinearity=nl), std, False)
    for scheme, (draw, std, takes_gain) in schemes.items():
        for shape in ([48, 32], [32, 48], [7, 5], [64, 64]):
            for g in (1.0, 0.5) if takes_gain and shape == [48, 32] else (1.0,):
                w = torch.zeros(shape).as_subclass(Asked)
                draw(w, g)
                fan_in, fan_out = init._calculate_fan_in_and_fan_out(torch.zeros(shape))
                assert [fan_out, fan_in] == shape
                assert math.isclose(w.asked["std"], g * std(fan_in, fan_out), rel_tol=1e-14), (scheme, shape)
                cases.append({"scheme": scheme, "shape": shape, "gain": g, **w.asked})
    for shape in ([48, 32], [32, 48], [7, 5], [64, 64]):
        for g in (1.0, 0.5):
            # Orthonormal along the shorter side, so the mean square is that of one over the longer, in every draw.
            w = init.orthogonal_(torch.empty(shape), gain=g, generator=torch.Generator().manual_seed(1))
            gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
            assert torch.allclose(gram, g * g * torch.eye(min(shape)), atol=1e-12)
            std = g / math.sqrt(max(shape))
            assert math.isclose(w.square().mean().sqrt().item(), std, rel_tol=1e-12)
            cases.append({"scheme": "orthogonal", "shape": shape, "gain": g, "std": std})
    return cases


# ---------------------------------------------------------------- files


def plain(t):
    out = {"shape": list(t.shape), "data": t.reshape(-1).tolist()}
    if not t.is_floating_point():
        out = {"dtype": {torch.int64: "i64", torch.uint8: "u8"}[t.dtype], **out}
    return out


def line(case):
    out = {}
    for key, value in case.items():
        if key in ("args", "outputs", "grads"):
            value = {k: plain(t) for k, t in value.items()}
        elif key == "dy":
            value = plain(value)
        out[key] = value
    return json.dumps(out, separators=(",", ":"), allow_nan=False)


def text(group, lines):
    version = torch.__version__.split("+")[0]
    head = json.dumps({"group": group, "torch": version}, separators=(",", ":"))
    return head[:-1] + ',"cases":[\n' + ",\n".join(lines) + "\n]}\n"


def main():
    parser = argparse.ArgumentParser(description="Write or check Plummet's golden values.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    check = parser.parse_args().check
    here, total, differ = pathlib.Path(__file__).parent, 0, []
    files = {}
    for make in (norms, weights, activations, attention, losses, linear, blocks, stacks, optimizers, schedules):
        group = make()
        files[group.name] = [line(c) for c in group.cases]
        ops = {}
        for c in group.cases:
            ops[c["op"]] = ops.get(c["op"], 0) + 1
        print(f"{group.name:12}", ", ".join(f"{op} {n}" for op, n in ops.items()))
    files["init"] = [json.dumps(c, separators=(",", ":"), allow_nan=False) for c in inits()]
    print()
    for name, lines in files.items():
        path, new = here / f"{name}.json", text(name, lines)
        json.loads(new)
        total += len(new)
        print(f"{name + '.json':18}{len(lines):4} cases {len(new):8} bytes")
        if not check:
            path.write_text(new)
        elif not path.exists() or path.read_text() != new:
            differ.append(path.name)
    print(f"{'all':18}{sum(map(len, files.values())):4} cases {total:8} bytes, torch {torch.__version__.split('+')[0]}")
    if differ:
        sys.exit("differ: " + ", ".join(differ))


if __name__ == "__main__":
    main()
