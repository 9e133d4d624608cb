"""Functions of JAX, with the gradients of ``jax.vjp``.

    plummet.jax.check("rms_norm", jax.jit(my_rms_norm), dtype=["f32", "bf16"])

Attributes come as Python's numbers and words: what a compiled function branches on belongs into
``static_argnames``. Every new shape is compiled, which is most of the time that a run takes."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import jax
import jax.numpy as jnp

from . import arrays, gate, operators
from .frames import Tensor
from .result import Result


class Jax:
    """Arrays of JAX, on its own first device."""

    name = "jax"
    version = jax.__version__
    differentiates = True

    def accept(self, name: str) -> None:
        """Refuses f64 where JAX would make f32 of it."""
        if name == "f64" and jax.dtypes.canonicalize_dtype("float64") != "float64":
            raise ValueError('dtype = f64: allowed is after jax.config.update("jax_enable_x64", True)')

    def read(self, tensor: Tensor) -> jax.Array:
        """The array; labels are i32 where JAX has no i64."""
        array = arrays.NumPy().read(tensor)
        return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))

    def write(self, array: Any) -> Tensor:
        """The bytes of an array."""
        return arrays.NumPy().write(array)

    def gradients(
        self, function: Callable[..., Any], inputs: Mapping[str, Any], upstream: Any
    ) -> dict[str, Any]:
        """The gradients of ``jax.vjp``."""
        _, pullback = jax.vjp(lambda given: function(**given), dict(inputs))
        return pullback(upstream)[0]


def check(op: str, function: Callable[..., Any], **options: Any) -> Result:
    """``plummet.check`` for a function of JAX's arrays. ``backward=False`` judges the forward
    alone."""
    __tracebackhide__ = True
    return gate.check(op, function, framework=Jax(), **options)


def replay(case: str, function: Callable[..., Any], **options: Any) -> str:
    """``plummet.replay`` for a function of JAX's arrays."""
    return gate.replay(case, function, framework=Jax(), **options)


def op(name: str, **declared: Any) -> Callable[[operators.Function], operators.Function]:
    """``@plummet.op`` for a function of JAX's arrays."""
    return operators.op(name, framework=Jax(), **declared)
