"""JAX's operators with the gradients of jax.vjp, on the CPU:
plummet gate check -- python verify/adapters/jax/adapter.py"""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax, ml_dtypes, plummet
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")
DTYPES = {"F64": np.float64, "F32": np.float32, "BF16": ml_dtypes.bfloat16, "I64": np.int64, "U8": np.uint8}


def layer_norm(a, x, weight=1, bias=0):
    axes = tuple(range(-a["normalized_dims"], 0))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # Not jax.nn.standardize, whose default variance, mean(x^2) - mean(x)^2, cancels.
    centred = wide - wide.mean(axes, keepdims=True)
    rstd = jax.lax.rsqrt((centred * centred).mean(axes, keepdims=True) + a["eps"])
    return (centred * rstd * weight + bias).astype(x.dtype)


def rms_norm(a, x, weight=None):
    y = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + a["eps"])
    return y if weight is None else y * (weight + jnp.asarray(a["offset"], x.dtype))


def softmax(a, x):
    return jax.nn.softmax(x, -1)


def activation(a, x):
    functions = {"relu": jax.nn.relu, "gelu": lambda x: jax.nn.gelu(x, approximate=False),
                 "gelu_tanh": jax.nn.gelu, "silu": jax.nn.silu}
    return functions[a["fn"]](x)


def linear(a, x, weight, bias=0):
    return x @ weight.T + bias


def attention(a, q, k, v, mask=None, bias=None):
    visible = jnp.ones((1, 1, q.shape[2], k.shape[2]), bool) if mask is None else mask != 0
    if a["causal"]:  # aligned at the bottom right, where is_causal is aligned at the top left
        visible &= jnp.tri(q.shape[2], k.shape[2], k.shape[2] - q.shape[2], bool)
    q, k, v = (t.swapaxes(1, 2) for t in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, bias, visible, scale=a["scale"])
    return jnp.where(visible.any(-1, keepdims=True), y.swapaxes(1, 2), 0)


def run(request):
    tensors = {name: np.frombuffer(data, DTYPES[dtype]).reshape(shape)
               for name, (dtype, shape, data) in request["tensors"].items()}
    op, upstream = globals()[request["op"]], tensors.pop("dy", None)
    inputs = {n: t for n, t in tensors.items() if "d" + n in request["want"]}
    if upstream is None:
        results = {"y": op(request["attrs"], **tensors)}
    else:
        _, vjp = jax.vjp(lambda inputs: op(request["attrs"], **{**tensors, **inputs}), inputs)
        results = {"d" + name: gradient for name, gradient in vjp(upstream)[0].items()}
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    return {name: (names[r.dtype], r.shape, np.asarray(r).tobytes()) for name, r in results.items()}


both = {"dir": ["fwd", "bwd"], "dtype": ["f32", "f64"]}
ops = {op: dict(both) for op in ("layer_norm", "rms_norm", "softmax", "activation", "linear", "attention")}
ops["layer_norm"]["dtype"] = ["f32", "f64", "bf16"]
ops["softmax"]["variant"] = {"softmax.empty_row": "nan"}
plummet.serve("jax", jax.__version__, ops, run)
