"""JAX's operators with the gradients of jax.vjp, on the CPU:
plummet gate check -- python adapters/jax/adapter.py"""
import inspect, os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax, jax.numpy as jnp, plummet.jax

jax.config.update("jax_enable_x64", True)

def op(name, dtype=["f32", "f64"], **declared):
    def compiled(function):
        constants = inspect.getfullargspec(function).kwonlyargs
        return plummet.jax.op(name, dtype=dtype, **declared)(jax.jit(function, static_argnames=constants))

    return compiled

@op("layer_norm", ["f32", "f64", "bf16"])
def layer_norm(x, weight=1, bias=0, *, normalized_dims, eps):
    axes = tuple(range(-normalized_dims, 0))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # Not jax.nn.standardize, whose default variance, mean(x^2) - mean(x)^2, cancels.
    rstd = jax.lax.rsqrt(wide.var(axes, keepdims=True) + eps)
    return ((wide - wide.mean(axes, keepdims=True)) * rstd * weight + bias).astype(x.dtype)

@op("rms_norm", attrs={"cast": ["before_weight", "after_weight"]})  # the same in one dtype
def rms_norm(x, weight=None, *, eps, offset):
    y = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps)
    return y if weight is None else y * (weight + offset)

@op("activation")
def activation(x, *, fn):
    return jax.nn.gelu(x, fn == "gelu_tanh") if "gelu" in fn else getattr(jax.nn, fn)(x)

@op("attention", "f32")  # dot_product_attention has its softmax in f32
def attention(q, k, v, mask=1, bias=0, *, causal, scale):
    # Aligned at the bottom right, where is_causal is aligned at the top left.
    last = k.shape[2] - q.shape[2] if causal else k.shape[2]
    visible = jnp.tri(q.shape[2], k.shape[2], last, bool)[None, None]
    visible &= (mask != 0) & (bias > -jnp.inf)
    some = visible.any(-1, keepdims=True)
    # Not by the argument mask, which hides by a number above the least that a bias may be.
    bias = jnp.where(some, jnp.where(visible, bias, -jnp.inf), 0)
    q, k, v = (t.swapaxes(1, 2) for t in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, bias, scale=scale)
    return jnp.where(some, y.swapaxes(1, 2), 0)

op("softmax", variant={"softmax.empty_row": "nan"})(lambda x: jax.nn.softmax(x, -1))
op("linear")(lambda x, weight, bias=0: x @ weight.T + bias)

plummet.serve("jax", jax.__version__)
