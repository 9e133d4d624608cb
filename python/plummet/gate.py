"""The gate against a function of this process.

The gate is a program, and what it judges is a process behind pipes. Here that process is a bridge
(bridge.py) to a socket that this one listens at, so that the function runs where it was written:
in a notebook, under a debugger, with what it has compiled."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterable, Mapping

from . import binary, bridge
from .arrays import NumPy
from .operators import Framework, Operator, called, listed
from .result import Failed, Result
from .serving import Service, serve_socket


def check(
    op: str,
    function: Callable[..., Any],
    vjp: Callable[..., Any] | None = None,
    *,
    framework: Framework = NumPy(),
    dtype: str | Iterable[str] = "f32",
    params_dtype: str | Iterable[str] | None = None,
    attrs: Mapping[str, Any] | None = None,
    accumulate: Mapping[str, str] | None = None,
    variant: Mapping[str, str] | None = None,
    arithmetic: Mapping[str, Any] | None = None,
    limits: Mapping[str, float] | None = None,
    backward: bool = True,
    claims: Iterable[str] = (),
    cases: int | None = None,
    seed: int | None = None,
    time: float | str | None = None,
    stages: int | Iterable[int] | None = None,
    sizes: Mapping[str, int] | Iterable[Mapping[str, int]] = (),
    largest: int | None = None,
    patience: float | str | None = None,
    fail_fast: bool = False,
    require: str | Iterable[str] = (),
    manifest: str | os.PathLike[str] | None = None,
    pin: str | os.PathLike[str] | None = None,
) -> Result:
    """Judges a function that is to be the operator ``op``, and raises ``Failed`` where it is not.

    The function takes the operator's tensors and attributes by name and returns its output, several
    as a tuple in the specification's order or as a dict. ``vjp``, where there is one, takes ``dy``
    (of a loss ``dloss``) too and returns the gradients.

    What is declared: ``dtype`` ("f32", or a list of f64, f32, f16, bf16), ``params_dtype``, ``attrs``
    (``{"eps": 1e-6}``, a value or a list of those served), ``accumulate``, ``variant``, ``limits``, ``arithmetic`` (``{"intermediates": "storage"}``),
    ``backward`` (False for the forward alone, where the framework differentiates) and ``claims``
    (``["deterministic", "batch_invariant"]``); docs/gate.md has what each means.

    How it is looked at, as by the flags of ``plummet gate check``: ``cases``, ``seed``, ``time`` (a
    budget in seconds, or "2m"), ``stages``, ``sizes`` (``{"rows": 4096, "cols": 5120}``), ``largest``,
    ``patience`` (for first calls), ``fail_fast``, ``require``, ``manifest`` and ``pin`` (files)."""
    __tracebackhide__ = True
    flags: dict[str, Any] = {
        "cases": cases,
        "seed": seed,
        "time": seconds(time),
        "stages": None if stages is None else ",".join(map(str, listed(stages))),
        "largest": largest,
        "patience": seconds(patience),
        "manifest": manifest,
        "pin": pin,
    }
    arguments = [f"--{flag}={value}" for flag, value in flags.items() if value is not None]
    arguments += [f"--size={shape(size)}" for size in ([sizes] if isinstance(sizes, Mapping) else sizes)]
    arguments += [f"--require={row}" for row in listed(require)]
    arguments += ["--fail-fast"] if fail_fast else []
    operator = Operator(
        op,
        function,
        vjp,
        framework,
        dtype=dtype,
        params_dtype=params_dtype,
        attrs=attrs,
        accumulate=accumulate,
        variant=variant,
        arithmetic=arithmetic,
        limits=limits,
        backward=backward,
    )
    service = Service(called(function), about(framework), [operator], claims)
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        words = ["check", f"--ops={op}", f"--json={report}", *arguments]
        code, out = run(words, service, folder)
        out = "\n".join([*operator.narrowed(), in_this_process(out, called(function), framework)])
        with open(report, encoding="utf-8") as file:
            found = json.loads(in_this_process(file.read(), called(function), framework))
    result = Result(code, out, found)
    if code == 0:
        return result
    raised = service.raised
    # An operator has calls to refuse; what it raised is the reason where the report says so.
    raise Failed(result) from (raised if raised and str(raised) in out else None)


def replay(
    case: str,
    function: Callable[..., Any],
    vjp: Callable[..., Any] | None = None,
    *,
    framework: Framework = NumPy(),
    **declared: Any,
) -> str:
    """Puts one case to a function again, as a failure names it, and returns every tensor: what was
    given, what came, what is right, and the bounds."""
    operator = Operator(case.split(":")[0], function, vjp, framework, **declared)
    service = Service(called(function), about(framework), [operator], ())
    with tempfile.TemporaryDirectory() as folder:
        return run(["replay", case], service, folder)[1]


def run(words: list[str], service: Service, folder: str) -> tuple[int, str]:
    """Runs a command of the gate against a service of this thread: its exit code and what it said."""
    address = os.path.join(folder, "gate")
    with (
        socket.socket(socket.AF_UNIX) as listener,
        open(os.path.join(folder, "out"), "w+", encoding="utf-8") as out,
        open(os.path.join(folder, "errors"), "w+", encoding="utf-8") as errors,
    ):
        listener.bind(address)
        listener.listen()
        target = [sys.executable, "-I", "-S", bridge.__file__, address]
        command = [binary.path(), "gate", *words, "--", *target]
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        try:
            serve_socket(listener, service, lambda: program.poll() is not None)
        finally:
            # Ctrl-C, or a fault of the framework: nobody answers any more.
            program.terminate()
            program.wait()
        out.seek(0)
        errors.seek(0)
        said, complaint = out.read(), errors.read()
    if program.returncode == 2 or program.returncode < 0 or not said:
        raise ValueError(complaint.strip().removeprefix("error: ") or f"ended by {program.returncode}")
    return program.returncode, said.rstrip("\n")


def in_this_process(text: str, name: str, framework: Framework) -> str:
    """A report whose commands are those of Python: the bridge is gone with the run."""
    module = "plummet" if isinstance(framework, NumPy) else f"plummet.{framework.name}"
    function = name if name.isidentifier() else "function"
    again = rf"{module}.replay(\1, {function})"
    return re.sub(r"plummet gate replay ('[^']*') -- [^\n\"]*?/gate\b'?", again, text)


def about(framework: Framework) -> str:
    """The version of what a function is written with."""
    return f"{framework.name} {framework.version}"


def seconds(given: float | str | None) -> str | None:
    """A time as the command line has it."""
    return f"{given}s" if isinstance(given, (int, float)) else given


def shape(size: Mapping[str, int]) -> str:
    """A shape as the command line has it."""
    return ",".join(f"{axis}={length}" for axis, length in size.items())
