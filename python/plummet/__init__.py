"""Is your kernel right? Plummet judges operators of a Transformer, forward and backward.

    import plummet
    plummet.check("rms_norm", my_rms_norm)

puts hundreds of small, nasty problems to a function of this process and raises Failed, an
AssertionError whose text says what is wrong, where an answer is. ``plummet.torch`` and
``plummet.jax`` do the same with tensors of those, and take gradients by themselves."""

from .gate import check, replay
from .operators import op, vjp
from .result import Failed, Result
from .serving import serve

__all__ = ["Failed", "Result", "check", "op", "replay", "serve", "vjp"]
