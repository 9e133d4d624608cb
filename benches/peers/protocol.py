"""The line protocol of a worker in Python; `protocol.rs` is its twin and says what it means."""

import os
import sys
import time


class Refused(Exception):
    """What a worker cannot do, and why."""


def peak_memory():
    """The most memory that this process held at once, in KiB, as the system counts it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def timed(work, n):
    """Wall and processor seconds of one of n repetitions."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(n)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return f"time {wall / n:e} {cpu / n:e}"


def answer(worker, words):
    match words:
        case ["load", size]:
            return "loss " + " ".join(f"{x:.9g}" for x in worker.load(size))
        case ["steps", n]:
            return timed(worker.steps, int(n))
        case ["op", name, which, rows, cols]:
            worker.op(name, which, int(rows), int(cols))
            return "ready"
        case ["calls", n]:
            return timed(worker.calls, int(n))
        case ["device", n]:
            return f"device {worker.device(int(n)):e}"
        case ["memory"]:
            return f"memory {peak_memory()}"
        case _:
            raise Refused("this is not understood: " + " ".join(words))


def serve(make):
    """Answers questions until `quit` or the end of the input; make(dir) is the worker."""
    # Libraries like to print; what they print must not reach the protocol.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = make(sys.argv[2])
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        try:
            text = answer(worker, words)
        except Refused as error:
            text = f"no {error}"
        except Exception as error:  # a worker that cannot is reported, not fatal
            text = "no " + " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(text, file=out, flush=True)
    os._exit(0)  # some libraries take seconds to tidy up
