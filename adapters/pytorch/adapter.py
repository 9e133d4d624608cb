"""PyTorch's operators with the gradients of autograd, on the CPU:
plummet gate check --manifest adapters/pytorch/gate.toml -- python adapters/pytorch/adapter.py"""
import plummet.torch
import torch
import torch.nn.functional as F
from torch.distributions import StudentT
from torch.nn.attention import SDPBackend, sdpa_kernel

def op(name, dtype=["f32", "f64"], **declared):
    return plummet.torch.op(name, dtype=dtype, **declared)

@op("layer_norm")
def layer_norm(x, weight=None, bias=None, *, normalized_dims, eps):
    return F.layer_norm(x, x.shape[-normalized_dims:], weight, bias, eps)

@op("rms_norm", attrs={"cast": ["before_weight", "after_weight"]})  # the same in one dtype
def rms_norm(x, weight=None, *, eps, offset):
    return F.rms_norm(x, x.shape[-1:], None if weight is None else weight + offset, eps)

@op("batch_norm")
def batch_norm(x, weight, bias, running_mean, running_var, *, training, momentum, eps):
    # The running statistics are written in place.
    return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)

@op("activation")
def activation(x, *, fn):
    return F.gelu(x, approximate="tanh") if fn == "gelu_tanh" else getattr(F, fn)(x)

@op("attention")
def attention(q, k, v, mask=None, bias=None, *, causal, scale):
    scores = torch.zeros(1, 1, q.shape[2], k.shape[2], dtype=q.dtype) if bias is None else bias
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -torch.inf)
    if causal:  # aligned at the bottom right, where is_causal is aligned at the top left
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
        scores = scores.masked_fill(later, -torch.inf)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has an exponential of 20 bits
        return F.scaled_dot_product_attention(q, k, v, scores, scale=scale, enable_gqa=True)

@op("gaussian_nll")
def gaussian_nll(prediction, target):
    location, log_scale = prediction.unflatten(-1, (-1, 2)).unbind(-1)
    return F.gaussian_nll_loss(location, target, (2 * log_scale).exp(), full=True)

@op("student_nll")
def student_nll(prediction, target):
    location, log_scale, r = prediction.unflatten(-1, (-1, 3)).unbind(-1)
    return -StudentT(2 + F.softplus(r), location, log_scale.exp()).log_prob(target).mean()

@op("cross_entropy", variant={"cross_entropy.empty_mean": "nan"})
def cross_entropy(logits, target, *, ignore_index, label_smoothing, reduction):
    return F.cross_entropy(logits, target, None, None, ignore_index, None, reduction, label_smoothing)

softmax = op("softmax", ["f32", "f64", "bf16"], variant={"softmax.empty_row": "nan"})
softmax(lambda x: torch.softmax(x, -1))
op("linear")(lambda x, weight, bias=None: F.linear(x, weight, bias))
op("binary_cross_entropy")(lambda logits, target: F.binary_cross_entropy_with_logits(logits, target))
op("mean_squared_error")(lambda prediction, target: F.mse_loss(prediction, target))

plummet.serve("pytorch", torch.__version__)
