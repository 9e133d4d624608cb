"""layer_norm and softmax in NumPy, with their backward, served to the gate:
plummet gate check -- python adapters/numpy/adapter.py"""
import numpy as np
import plummet

def normalized(x, eps, axes):
    centred = x - x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean(axes, keepdims=True) + eps)
    return centred * rstd, rstd

@plummet.op("layer_norm", dtype=["f32", "f64"])
def layer_norm(x, weight=1, bias=0, *, normalized_dims, eps):
    return normalized(x, eps, tuple(range(-normalized_dims, 0)))[0] * weight + bias

@plummet.vjp("layer_norm")
def layer_norm_vjp(x, dy, weight=1, bias=0, *, normalized_dims, eps):
    axes, rows = tuple(range(-normalized_dims, 0)), tuple(range(x.ndim - normalized_dims))
    hat, rstd = normalized(x, eps, axes)
    g = dy * weight
    dx = rstd * (g - g.mean(axes, keepdims=True) - hat * (g * hat).mean(axes, keepdims=True))
    return {"dx": dx, "dweight": (dy * hat).sum(rows), "dbias": dy.sum(rows)}

@plummet.op("softmax", dtype=["f32", "f64"])
def softmax(x):
    most = x.max(-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(most), 0, most))  # a row of -inf gives zeros
    return e / np.maximum(e.sum(-1, keepdims=True), np.finfo(x.dtype).tiny)

@plummet.vjp("softmax")
def softmax_vjp(x, dy):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True))

plummet.serve("numpy", np.__version__)
