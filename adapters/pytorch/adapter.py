"""PyTorch's operators with the gradients of autograd, on the CPU:
plummet gate check -- python adapters/pytorch/adapter.py"""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import plummet, torch
import torch.nn.functional as F
from torch.distributions import StudentT
from torch.nn.attention import SDPBackend, sdpa_kernel

def layer_norm(x, weight=None, bias=None, *, normalized_dims, eps):
    return F.layer_norm(x, x.shape[-normalized_dims:], weight, bias, eps)

def rms_norm(x, weight=None, *, eps, offset, cast):  # in one dtype cast says nothing
    return F.rms_norm(x, x.shape[-1:], None if weight is None else weight + offset, eps)

def batch_norm(x, weight, bias, running_mean, running_var, *, training, momentum, eps):
    y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return {"y": y, "running_mean": running_mean, "running_var": running_var}

def activation(x, *, fn):
    return F.gelu(x, approximate="tanh") if fn == "gelu_tanh" else getattr(F, fn)(x)

def attention(q, k, v, mask=None, bias=None, *, causal, scale):
    scores = torch.zeros(1, 1, q.shape[2], k.shape[2], dtype=q.dtype) if bias is None else bias
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -torch.inf)
    if causal:  # aligned at the bottom right, where is_causal is aligned at the top left
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
        scores = scores.masked_fill(later, -torch.inf)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has an exponential of 20 bits
        return F.scaled_dot_product_attention(q, k, v, scores, scale=scale, enable_gqa=True)

def gaussian_nll(prediction, target):
    location, log_scale = prediction.unflatten(-1, (-1, 2)).unbind(-1)
    return F.gaussian_nll_loss(location, target, (2 * log_scale).exp(), full=True)

def student_nll(prediction, target):
    location, log_scale, r = prediction.unflatten(-1, (-1, 3)).unbind(-1)
    return -StudentT(2 + F.softplus(r), location, log_scale.exp()).log_prob(target).mean()

operators = {
    "layer_norm": layer_norm, "rms_norm": rms_norm, "batch_norm": batch_norm,
    "activation": activation, "attention": attention,
    "softmax": lambda x: torch.softmax(x, -1),
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "cross_entropy": lambda logits, target, **attrs: F.cross_entropy(logits, target, **attrs),
    "binary_cross_entropy": lambda logits, target: F.binary_cross_entropy_with_logits(logits, target),
    "mean_squared_error": lambda prediction, target: F.mse_loss(prediction, target),
    "gaussian_nll": gaussian_nll, "student_nll": student_nll,
}

def read(dtype, shape, data):
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).reshape(shape)

def write(t):
    data = t.detach().flatten().view(torch.uint8).numpy().tobytes()
    return str(t.dtype).removeprefix("torch."), t.shape, data

def gradients(operator, inputs, upstream):
    inputs = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
    y, wanted = operator(**inputs), list(inputs.values())
    return dict(zip(inputs, torch.autograd.grad(y, wanted, upstream, materialize_grads=True)))

ops = {op: {"dir": ["fwd", "bwd"], "dtype": ["f32", "f64"]} for op in operators}
ops["softmax"] |= {"dtype": ["f32", "f64", "bf16"], "variant": {"softmax.empty_row": "nan"}}
ops["cross_entropy"]["variant"] = {"cross_entropy.empty_mean": "nan"}
run = plummet.framework(operators, read, write, gradients)
plummet.serve("pytorch", torch.__version__, ops, run)
