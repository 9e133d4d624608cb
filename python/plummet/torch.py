"""Functions and modules of PyTorch, with the gradients of autograd.

    plummet.torch.check("rms_norm", my_rms_norm, dtype=["f32", "bf16"], device="cuda")
    plummet.torch.check("layer_norm", lambda x, weight, bias: torch.nn.LayerNorm(x.shape[-1]))

A kernel of Triton is a function that launches it; its backward belongs to a
``torch.autograd.Function``, or ``backward=False``."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Mapping

import torch

from . import gate, operators
from .frames import Tensor
from .result import Result

DTYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "u8": torch.uint8,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Torch:
    """Tensors of PyTorch on a device."""

    name = "torch"
    version = str(torch.__version__)
    differentiates = True

    def __init__(self, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        try:
            torch.empty(1, device=self.device)
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"device = {device}: {str(error).splitlines()[0]}") from None

    def accept(self, name: str) -> None:
        """PyTorch has every dtype of the gate."""

    def read(self, tensor: Tensor) -> torch.Tensor:
        """The tensor on the device."""
        flat = torch.frombuffer(tensor.data, dtype=DTYPES[tensor.dtype])
        return flat.reshape(tensor.shape).to(self.device)

    def write(self, tensor: Any) -> Tensor:
        """The bytes of a tensor, wherever it lies."""
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{type(tensor).__name__} is returned: allowed is a torch.Tensor")
        if tensor.dtype not in NAMES:
            raise TypeError(f"dtype = {tensor.dtype}: allowed is {', '.join(map(str, NAMES))}")
        flat = tensor.detach().to("cpu").contiguous().flatten()
        return Tensor(NAMES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes())

    def gradients(
        self, function: Callable[..., Any], inputs: Mapping[str, Any], upstream: Any
    ) -> dict[str, Any]:
        """The gradients of autograd."""
        leaves = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
        y = function(**leaves)
        wanted = list(leaves.values())
        found = torch.autograd.grad(y, wanted, upstream, materialize_grads=True)
        return dict(zip(leaves, found))


def applied(function: Callable[..., Any], op: str) -> Callable[..., Any]:
    """The function, or the module that it gives, applied to the tensors of a call."""
    tensors = operators.known(op)["tensors"]

    def apply(**given: Any) -> Any:
        made = operators.Signature(function, given).call(given)
        if not isinstance(made, torch.nn.Module):
            return made
        own = dict(made.named_parameters()) | dict(made.named_buffers())
        inputs = [given[name] for name in tensors if name in given and name not in own]
        learned = {name: given[name] for name in own if name in given}
        try:
            return torch.func.functional_call(made, learned, tuple(inputs))
        except Exception as error:
            sizes = [f"{n} {tuple(own[n].shape)}" for n, t in learned.items() if t.shape != own[n].shape]
            if not sizes:
                raise
            takes = [name for name in tensors if name in given]
            raise ValueError(one_size(made, sizes, takes)) from error

    apply.__signature__ = operators.signature(function)  # type: ignore[attr-defined]
    apply.__name__ = operators.called(function)
    return apply


def one_size(module: torch.nn.Module, sizes: list[str], takes: list[str]) -> str:
    """What to do about a module that only goes with the sizes that it was made for."""
    kind = type(module).__name__
    return (
        f"{kind} is made for {', '.join(sizes)}, and the gate asks with every size: "
        f"give a function that makes it, as lambda {', '.join(takes)}: {kind}({takes[0]}.shape[-1])"
    )


def of_module(module: torch.nn.Module, op: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A module as a function that gives it, and the attributes that it fixes.

    It takes the operator's tensors of the names of its parameters and buffers, and those that are
    not optional; what it has under the name of an attribute is the attribute's value."""
    known = operators.known(op)
    own = {name for name, _ in [*module.named_parameters(), *module.named_buffers()]}
    takes = [name for name in known["tensors"] if name in own or name not in known["optional"]]
    kind = inspect.Parameter.KEYWORD_ONLY

    def give(**_: Any) -> torch.nn.Module:
        return module

    parameters = [inspect.Parameter(name, kind) for name in takes]
    give.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    give.__name__ = type(module).__name__
    fixed = {name: getattr(module, name) for name in known["attrs"] if hasattr(module, name)}
    return give, fixed


def prepared(op: str, function: Any, attrs: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """What is judged, as a function of tensors, and its attributes."""
    fixed: dict[str, Any] = {}
    if isinstance(function, torch.nn.Module):
        function, fixed = of_module(function, op)
    fixed |= attrs or {}
    for name, value in fixed.items():
        if value is None and operators.known(op)["attrs"].get(name) is not None:
            kind = operators.called(function)
            raise ValueError(f"{name} of {kind} = None: allowed is a number, in the module or in attrs")
    return applied(function, op), fixed


def check(
    op: str,
    function: Callable[..., Any] | torch.nn.Module,
    *,
    device: str | torch.device = "cpu",
    attrs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """``plummet.check`` for a function of tensors on a device, a module, or a function that gives
    a module for the tensors of a call. ``backward=False`` judges the forward alone."""
    __tracebackhide__ = True
    function, attrs = prepared(op, function, attrs)
    return gate.check(op, function, framework=Torch(device), attrs=attrs, **options)


def replay(
    case: str,
    function: Callable[..., Any] | torch.nn.Module,
    *,
    device: str | torch.device = "cpu",
    attrs: Mapping[str, Any] | None = None,
    **options: Any,
) -> str:
    """``plummet.replay`` for what ``check`` takes."""
    function, attrs = prepared(case.split(":")[0], function, attrs)
    return gate.replay(case, function, framework=Torch(device), attrs=attrs, **options)


def op(name: str, *, device: str | torch.device = "cpu", **declared: Any) -> Callable[..., Any]:
    """``@plummet.op`` for a function of tensors on a device."""

    def register(function: operators.Function) -> operators.Function:
        operators.op(name, framework=Torch(device), **declared)(applied(function, name))
        return function

    return register
