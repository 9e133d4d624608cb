"""An operator's name and a function: what the function's signature declares of it, and its answers.

What the specification knows of an operator (operators.json) is what ``plummet gate ops --json``
prints; a test of the gate holds the two to each other."""

from __future__ import annotations

import functools
import inspect
import json
from importlib.resources import files
from typing import Any, Callable, Iterable, Mapping, Protocol, TypeVar

from .arrays import NumPy
from .frames import Tensor

#: Attributes of which every value is asked.
ALWAYS = ("shape", "seed")

Function = TypeVar("Function", bound=Callable[..., Any])


class Framework(Protocol):
    """Whose tensors a function takes."""

    name: str
    version: str
    #: Whether it has ``gradients(function, inputs, upstream)``: those of the function's output
    #: with respect to the inputs, which it takes by name.
    differentiates: bool

    def accept(self, name: str) -> None: ...
    def read(self, tensor: Tensor) -> Any: ...
    def write(self, array: Any) -> Tensor: ...


@functools.cache
def specification() -> dict[str, dict[str, Any]]:
    """What is known of every operator, by name."""
    text = files(__package__).joinpath("operators.json").read_text()
    return {entry["op"]: entry for entry in json.loads(text)}


def known(op: str) -> dict[str, Any]:
    """What is known of an operator."""
    if op not in specification():
        raise ValueError(f"op = {op}: allowed is {', '.join(specification())}")
    return specification()[op]


def listed(given: Any) -> list[Any]:
    """A list as it is, a single value as a list of one."""
    single = given is None or isinstance(given, (str, bool, int, float))
    return [given] if single else list(given)


def called(function: Callable[..., Any]) -> str:
    """The name of a function for people."""
    name = getattr(function, "__name__", type(function).__name__)
    return "the function" if name == "<lambda>" else name


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a function, which one written in C may not say."""
    try:
        return inspect.signature(function)
    except ValueError:
        name = called(function)
        raise ValueError(
            f"function = {name}: allowed is one whose parameters have names, "
            f"as lambda x, weight: {name}(x, weight)"
        ) from None


class Signature:
    """Which of an operator's tensors and attributes a function takes."""

    def __init__(self, function: Callable[..., Any], names: Iterable[str]):
        self.function = function
        parameters = signature(function).parameters.values()
        kinds = inspect.Parameter
        self.everything = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
        own = [p for p in parameters if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
        self.takes = {p.name for p in own}
        self.needs = {p.name for p in own if p.default is kinds.empty}
        self.first = [p.name for p in own if p.kind is kinds.POSITIONAL_ONLY]
        for name in sorted(self.needs - set(names)):
            raise ValueError(
                f"parameter {name} of {called(function)}: allowed is {', '.join(names)}, "
                "or a parameter with a default"
            )

    def has(self, name: str) -> bool:
        """True for a name that the function takes."""
        return self.everything or name in self.takes

    def call(self, given: Mapping[str, Any]) -> Any:
        """Calls the function with what it takes of these."""
        given = {name: value for name, value in given.items() if self.has(name)}
        return self.function(*(given.pop(name) for name in self.first if name in given), **given)


class Operator:
    """A function that is an operator, and perhaps one that is its backward.

    A parameter of the function that is none of the operator's needs a default. An attribute that
    the function does not take is asked at its default alone, or at what ``attrs`` says; an optional
    tensor that it does not take never comes, and one that has no default always does."""

    def __init__(
        self,
        op: str,
        forward: Callable[..., Any],
        vjp: Callable[..., Any] | None = None,
        framework: Framework = NumPy(),
        *,
        dtype: str | Iterable[str] = "f32",
        params_dtype: str | Iterable[str] | None = None,
        attrs: Mapping[str, Any] | None = None,
        accumulate: Mapping[str, str] | None = None,
        variant: Mapping[str, str] | None = None,
        arithmetic: Mapping[str, Any] | None = None,
        limits: Mapping[str, float] | None = None,
        backward: bool = True,
    ):
        self.name, self.known, self.framework = op, known(op), framework
        self.forward = Signature(forward, [*self.known["tensors"], *self.known["attrs"]])
        self.backward: Signature | None = None
        if vjp is not None:
            self.set_vjp(vjp)
        two = backward and "bwd" in self.known["dir"]
        self.differentiates = two and vjp is None and framework.differentiates
        self.dtype = listed(dtype)
        self.params_dtype = None if params_dtype is None else listed(params_dtype)
        for name in [*self.dtype, *(self.params_dtype or [])]:
            if name not in ("f64", "f32", "f16", "bf16"):
                raise ValueError(f"dtype = {name}: allowed is f64, f32, f16, bf16")
            framework.accept(name)
        self.attrs = self.asked(attrs or {})
        self.rest = {"accumulate": accumulate, "variant": variant, "limits": limits, "arithmetic": arithmetic}
        given = [name for name in ALWAYS if name in self.known["attrs"]]
        given += [name for name in self.known["tensors"] if name not in self.known["optional"]]
        missing = [name for name in given if not self.forward.has(name)]
        if missing:
            raise ValueError(f"{called(forward)} does not take {', '.join(missing)}, which {op} has")

    def set_vjp(self, vjp: Callable[..., Any]) -> None:
        """Says what the backward is."""
        if "bwd" not in self.known["dir"]:
            raise ValueError(f"vjp = {called(vjp)}: {self.name} has no backward")
        names = [*self.known["tensors"], "dy", "dloss", *self.known["attrs"]]
        self.backward, self.differentiates = Signature(vjp, names), False

    def asked(self, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The values of the attributes that are not to take every one."""
        for name in given:
            if name not in self.known["attrs"]:
                allowed = ", ".join(self.known["attrs"]) or "none, of this operator"
                raise ValueError(f"attrs = {name}: allowed is {allowed}")
        fixed = {
            name: [default]
            for name, default in self.known["attrs"].items()
            if not self.forward.has(name) and name not in ALWAYS
        }
        return fixed | {name: listed(values) for name, values in given.items()}

    def narrowed(self) -> list[str]:
        """What is asked less than the specification has, since the function does not take it."""
        name = called(self.forward.function)
        fixed = [
            f"{attr} = {json.dumps(values[0])}"
            for attr, values in self.attrs.items()
            if not self.forward.has(attr)
        ]
        absent = [tensor for tensor in self.known["optional"] if not self.forward.has(tensor)]
        if not fixed and not absent:
            return []
        without = [f"without {tensor}" for tensor in absent]
        return [f"{name} does not take all of {self.name}, and is asked with {', '.join(fixed + without)}"]

    def declared(self) -> dict[str, Any]:
        """What the gate is told."""
        optional = [name for name in self.known["optional"] if self.forward.has(name)]
        two = self.backward is not None or self.differentiates
        told: dict[str, Any] = {
            "dir": ["fwd", "bwd"] if two else ["fwd"],
            "dtype": self.dtype,
            "attrs": self.attrs,
            "required": [name for name in optional if name in self.forward.needs],
        }
        # With what is left out the gate means every one, numbered ones too.
        if not self.forward.everything:
            told["optional"] = optional
        if self.params_dtype is not None:
            told["params_dtype"] = self.params_dtype
        return told | {key: dict(value) for key, value in self.rest.items() if value is not None}

    def answer(self, request: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that a request wants."""
        given = {name: self.framework.read(tensor) for name, tensor in tensors.items()}
        attrs, want = request["attrs"], request["want"]
        if request["dir"] == "fwd":
            results = self.outputs(given, attrs)
            # What a function does not return it has written in place, as optimisers do.
            results = given | results
        elif self.backward is not None:
            order = [name for name in self.known["returns"]["bwd"] if name[1:] in given]
            results = by_name(self.backward.call(given | attrs), order or want, self.backward)
        else:
            upstream = given.pop("dy") if "dy" in given else given.pop("dloss")
            inputs = {name: given[name] for name in given if "d" + name in want}

            def first(**moved: Any) -> Any:
                return next(iter(self.outputs(given | moved, attrs).values()))

            gradients = self.framework.gradients(first, inputs, upstream)  # type: ignore[attr-defined]
            results = {"d" + name: gradient for name, gradient in gradients.items()}
        for name in want:
            if results.get(name) is None:
                raise ValueError(f"{name} is not returned")
        return {name: self.framework.write(results[name]) for name in want}

    def outputs(self, given: Mapping[str, Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
        """What the forward returns, by name."""
        returned = self.forward.call({**given, **attrs})
        return by_name(returned, self.known["returns"]["fwd"], self.forward)


def by_name(returned: Any, order: list[str], signature: Signature) -> dict[str, Any]:
    """What a function returned: a dict, a tuple in the specification's order, the first alone, or
    nothing at all."""
    if isinstance(returned, Mapping):
        return dict(returned)
    if returned is None:
        return {}
    if not isinstance(returned, (tuple, list)):
        return {order[0]: returned}
    if len(returned) != len(order):
        expected = ", ".join(order)
        name = called(signature.function)
        raise ValueError(f"{name} returned {len(returned)} values: allowed is {expected}, or a dict")
    return dict(zip(order, returned))


#: What ``plummet.serve`` answers with.
SERVED: dict[str, Operator] = {}


def op(name: str, **declared: Any) -> Callable[[Function], Function]:
    """Makes a function the operator of that name in ``plummet.serve``. Takes what
    ``plummet.check`` takes of a declaration: ``dtype``, ``attrs``, ``variant`` and so on."""

    def register(function: Function) -> Function:
        SERVED[name] = Operator(name, function, **declared)
        return function

    return register


def vjp(name: str) -> Callable[[Function], Function]:
    """Makes a function the backward of an operator under ``@plummet.op``. It takes the operator's
    tensors and attributes by name and ``dy`` (of a loss ``dloss``), and returns the gradients in the
    specification's order, or a dict: ``{"dx": …}``."""

    def register(function: Function) -> Function:
        if name not in SERVED:
            served = ", ".join(SERVED) or "(none yet)"
            raise ValueError(f"vjp = {name}: allowed is what is under @plummet.op before: {served}")
        SERVED[name].set_vjp(function)
        return function

    return register
