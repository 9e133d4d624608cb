"""The training step and the operators in JAX: one jitted step, the blocks under `lax.scan`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file

import protocol

HEADS = 4
SEQ = 128  # of the attention that is measured by itself
EPS = 1e-5
LR, BETA1, BETA2, ADAM_EPS = 1e-3, 0.9, 0.95, 1e-8


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    var = jnp.square(centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(var + EPS) * weight + bias


def attention(q, k, v):
    """Causal attention of [batch, heads, seq, features]."""
    seq, features = q.shape[-2:]
    scores = jnp.einsum("bhtd,bhsd->bhts", q, k) * features**-0.5
    scores = jnp.where(jnp.tri(seq, dtype=bool), scores, -jnp.inf)
    return jnp.einsum("bhts,bhsd->bhtd", jax.nn.softmax(scores), v)


def block(x, w):
    batch, seq, width = x.shape
    y = layer_norm(x, w["norm1.weight"], w["norm1.bias"])
    y = (y @ w["qkv"].T).reshape(batch, seq, 3, HEADS, width // HEADS)
    q, k, v = y.transpose(2, 0, 3, 1, 4)
    y = attention(q, k, v).transpose(0, 2, 1, 3).reshape(batch, seq, width)
    x = x + y @ w["attn.out.weight"].T
    y = layer_norm(x, w["norm2.weight"], w["norm2.bias"])
    return x + jax.nn.gelu(y @ w["ffn.up.weight"].T, approximate=True) @ w["ffn.down.weight"].T


def loss(weights, tokens, targets):
    x = weights["embed.weight"][tokens] + weights["positions.weight"]
    x, _ = jax.lax.scan(lambda x, w: (block(x, w), None), x, weights["blocks"])
    logits = layer_norm(x, weights["norm.weight"], weights["norm.bias"]) @ weights["head.weight"].T
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)
    return -chosen.mean()


@partial(jax.jit, donate_argnums=0)
def step(state, tokens, targets):
    """AdamW without decay."""
    weights, m, v, t = state
    value, g = jax.value_and_grad(loss)(weights, tokens, targets)
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
    rise1, rise2 = 1 - BETA1**t, 1 - BETA2**t
    move = lambda w, m, v: w - LR * (m / rise1) / (jnp.sqrt(v / rise2) + ADAM_EPS)
    return (jax.tree.map(move, weights, m, v), m, v, t), value


def stacked(given):
    """The weights of the file, those of the blocks on top of each other."""
    names = ["embed.weight", "positions.weight", "norm.weight", "norm.bias", "head.weight"]
    weights = {name: jnp.asarray(given[name]) for name in names}
    depth = sum(name.endswith("norm1.weight") for name in given)
    stack = lambda name: np.stack([given[f"blocks.{i}.{name}"] for i in range(depth)])
    own = ["norm1.weight", "norm1.bias", "attn.out.weight", "norm2.weight", "norm2.bias"]
    own += ["ffn.up.weight", "ffn.down.weight"]
    blocks = {name: jnp.asarray(stack(name)) for name in own}
    parts = [stack(f"attn.{part}.weight") for part in "qkv"]
    return weights | {"blocks": blocks | {"qkv": jnp.asarray(np.concatenate(parts, 1))}}


def operator(name, rows, cols):
    """A function and its arguments that have a gradient."""
    draw = lambda i, *shape: jax.random.normal(jax.random.key(i), shape)
    x, weight, bias, one = draw(1, rows, cols), jnp.ones(cols), jnp.zeros(cols), jnp.array(0.5)
    rms = lambda x: x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + EPS)

    def batch_norm(x, w, b):
        centred = x - x.mean(0)
        return centred * jax.lax.rsqrt(jnp.square(centred).mean(0) + EPS) * w + b

    simple = {
        "softmax": jax.nn.softmax,
        "relu": jax.nn.relu,
        "gelu": partial(jax.nn.gelu, approximate=False),
        "gelu_tanh": partial(jax.nn.gelu, approximate=True),
        "silu": jax.nn.silu,
        "bare_rms_norm": rms,
    }
    match name:
        case "layer_norm":
            return layer_norm, (x, weight, bias)
        case "rms_norm":
            return lambda x, w: rms(x) * w, (x, weight)
        case "batch_norm":
            return batch_norm, (x, weight, bias)
        case "scale_norm":
            return lambda x, g: x * (g / jnp.linalg.norm(x, axis=-1, keepdims=True)), (x, one)
        case "dynamic_tanh":
            return lambda x, a, w, b: w * jnp.tanh(a * x) + b, (x, one, weight, bias)
        case "causal_attention":
            shape = (rows // SEQ, HEADS, SEQ, cols // HEADS)
            return attention, tuple(draw(i, *shape) for i in range(3))
        case _ if name in simple:
            return simple[name], (x,)
    raise protocol.Refused(f"there is no operator {name}")


class Jax:
    def __init__(self, directory):
        self.directory = directory

    def load(self, size):
        given = load_file(f"{self.directory}/{size}.safetensors")
        self.batch = [jnp.asarray(given[name].astype(np.int32)) for name in ("tokens", "targets")]
        weights = stacked(given)
        zeros = lambda: jax.tree.map(jnp.zeros_like, weights)
        self.state = (weights, zeros(), zeros(), jnp.array(0.0))
        self.state, value = step(self.state, *self.batch)
        # After the first step the first moment is the gradient, scaled.
        squares = [float(jnp.vdot(m, m)) for m in jax.tree.leaves(self.state[1])]
        return float(value), sum(squares) ** 0.5 / (1 - BETA1)

    def steps(self, n):
        for _ in range(n):
            self.state, _ = step(self.state, *self.batch)
        jax.block_until_ready(self.state)

    def op(self, name, which, rows, cols):
        function, args = operator(name, rows, cols)
        dy = jax.random.normal(jax.random.key(9), jax.eval_shape(function, *args).shape)

        def both(args, dy):
            y, back = jax.vjp(function, *args)
            return y, back(dy)

        forward = jax.jit(lambda args, dy: function(*args))
        compiled = forward if which == "forward" else jax.jit(both)
        self.call = lambda: compiled(args, dy)
        jax.block_until_ready(self.call())

    def calls(self, n):
        for _ in range(n):
            last = self.call()
            jax.block_until_ready(last)


if __name__ == "__main__":
    protocol.serve(Jax)
