"""PyTorch's operators with the gradients of autograd, on the CPU:
plummet gate check -- python verify/adapters/pytorch/adapter.py"""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import plummet
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "I64": torch.int64, "U8": torch.uint8}
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu,
               "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}


def attention(q, k, v, mask, bias, causal, scale):
    scores = torch.zeros(1, 1, q.shape[2], k.shape[2], dtype=q.dtype) if bias is None else bias
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -torch.inf)
    if causal:  # aligned at the bottom right, where is_causal is aligned at the top left
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
        scores = scores.masked_fill(later, -torch.inf)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has an exponential of 20 bits
        return F.scaled_dot_product_attention(q, k, v, scores, scale=scale, enable_gqa=True)


def forward(op, a, t):
    t = t.get
    if op == "layer_norm":
        shape = t("x").shape[-a["normalized_dims"]:]
        return {"y": F.layer_norm(t("x"), shape, t("weight"), t("bias"), a["eps"])}
    if op == "rms_norm":
        weight = None if t("weight") is None else t("weight") + a["offset"]
        return {"y": F.rms_norm(t("x"), t("x").shape[-1:], weight, a["eps"])}
    if op == "batch_norm":
        mean, var = t("running_mean").clone(), t("running_var").clone()
        y = F.batch_norm(t("x"), mean, var, t("weight"), t("bias"), a["training"], a["momentum"], a["eps"])
        return {"y": y, "running_mean": mean, "running_var": var}
    if op == "softmax":
        return {"y": torch.softmax(t("x"), -1)}
    if op == "activation":
        return {"y": ACTIVATIONS[a["fn"]](t("x"))}
    if op == "linear":
        return {"y": F.linear(t("x"), t("weight"), t("bias"))}
    if op == "attention":
        return {"y": attention(*map(t, ("q", "k", "v", "mask", "bias")), a["causal"], a["scale"])}
    if op == "cross_entropy":
        return {"loss": F.cross_entropy(t("logits"), t("target"), ignore_index=a["ignore_index"],
                                        label_smoothing=a["label_smoothing"], reduction=a["reduction"])}
    raise NotImplementedError(op)


def run(request):
    tensors = {name: torch.frombuffer(bytearray(data), dtype=DTYPES[dtype]).reshape(shape)
               for name, (dtype, shape, data) in request["tensors"].items()}
    if request["dir"] == "bwd":
        upstream = tensors.pop("dloss" if "dloss" in tensors else "dy")
        inputs = [n for n in tensors if "d" + n in request["want"]]
        for name in inputs:
            tensors[name].requires_grad_()
        (y, *_) = forward(request["op"], request["attrs"], tensors).values()
        grads = torch.autograd.grad(y, [tensors[n] for n in inputs], upstream, materialize_grads=True)
        results = {"d" + name: grad for name, grad in zip(inputs, grads)}
    else:
        results = forward(request["op"], request["attrs"], tensors)
    names = {dtype: name for name, dtype in DTYPES.items()}
    return {name: (names[r.dtype], r.shape, r.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
            for name, r in ((name, r.detach()) for name, r in results.items())}


torch.manual_seed(0)
both = {"dir": ["fwd", "bwd"], "dtype": ["f32", "f64"]}
ops = {op: dict(both) for op in ("layer_norm", "rms_norm", "batch_norm", "softmax", "activation",
                                 "linear", "attention", "cross_entropy")}
ops["softmax"]["dtype"] = ["f32", "f64", "bf16"]
ops["softmax"]["variant"] = {"softmax.empty_row": "nan"}
ops["cross_entropy"]["variant"] = {"cross_entropy.empty_mean": "nan"}
plummet.serve("pytorch", torch.__version__, ops, run)
