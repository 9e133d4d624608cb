"""Answering the gate: over standard input and output, or over the connections of a socket."""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import Any, Callable, Iterable

import numpy as np

from . import frames
from .frames import Frame
from .operators import SERVED, Operator


class Service:
    """Operators that answer for themselves, and the last exception that one of them raised."""

    def __init__(self, name: str, version: str, operators: Iterable[Operator], claims: Iterable[str]):
        self.operators = {operator.name: operator for operator in operators}
        self.raised: Exception | None = None
        self.hello = {
            "kind": "hello",
            "protocol": 1,
            "impl": {"name": name, "version": version, "language": "python"},
            "ops": {name: operator.declared() for name, operator in self.operators.items()},
            "claims": {claim: True for claim in claims},
        }

    def answer(self, frame: Frame) -> bytes | None:
        """The answer to a message; None where it was the last."""
        request = frame.message
        if request["kind"] == "hello":
            return frames.encode(self.hello)
        if request["kind"] == "bye":
            return None
        about: dict[str, Any] = {"seq": request["seq"]}
        try:
            operator = self.operators[request["op"]]
            # What overflows shows in the answer; as warnings, or as errors of them, it would not.
            with np.errstate(all="ignore"):
                for _ in range(request.get("repeat", 1)):
                    tensors = operator.answer(request, frame.tensors)
            return frames.encode({"kind": "ok"} | about, tensors)
        except NotImplementedError as error:
            return frames.encode({"kind": "unsupported", "reason": str(error)} | about)
        except Exception as error:
            self.raised = error
            message = f"{type(error).__name__}: {error}"
            return frames.encode({"kind": "error", "message": message} | about)


def serve(name: str | None = None, version: str = "", *, claims: Iterable[str] = ()) -> None:
    """Answers the gate on standard input and output, with everything under ``@plummet.op``.

    What is printed meanwhile goes to standard error. ``claims`` are the promises that the gate is
    to hold it to: ``deterministic``, ``batch_invariant``."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    name = name or os.path.basename(sys.argv[0]).removesuffix(".py")
    service = Service(name, version, SERVED.values(), claims)
    while frame := frames.decode(sys.stdin.buffer.read):
        answer = service.answer(frame)
        if answer is None:
            return
        pipe.write(answer)
        pipe.flush()


def received(connection: socket.socket, size: int) -> bytearray:
    """So many bytes, fewer only at the end."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size and (count := connection.recv_into(view[got:])):
        got += count
    return data[:got] if got < size else data


def serve_socket(listener: socket.socket, service: Service, over: Callable[[], bool]) -> None:
    """Answers whoever connects, in this thread, until it is over.

    The gate may hold several connections at a time, and waits for one answer at a time."""
    connections: list[socket.socket] = []
    try:
        while not over():
            ready, _, _ = select.select([listener, *connections], [], [], 0.05)
            for one in ready:
                if one is listener:
                    connections.append(listener.accept()[0])
                elif not exchange(one, service):
                    connections.remove(one)
                    one.close()
    finally:
        for connection in connections:
            connection.close()


def exchange(connection: socket.socket, service: Service) -> bool:
    """Answers one message; False where there is nobody to answer any more."""
    try:
        frame = frames.decode(lambda size: received(connection, size))
        answer = frame and service.answer(frame)
        if answer:
            connection.sendall(answer)
        return bool(answer)
    except ConnectionError:
        # The gate does not wait for ever, and what answers too late finds nobody.
        return False
