#!/usr/bin/env python3
"""Measures Plummet's kernels and training step beside others on one NVIDIA GPU.

    python3 benches/peers/gpu.py [--peer FILE] [--out FILE.json]

FILE is Plummet's worker, `cargo bench --bench peer --features cuda --no-run`; without it, it is built.
The others are what this Python can import: PyTorch eager, PyTorch compiled (a training step as one
CUDA graph), Liger, QuACK. All are alive at once and take turns; everybody clears the caches before
every call and counts the time of the device alone. All arithmetic is f32, without TF32. A peer is
compared with Plummet by the median of the ratios of one round.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from workers import HERE, OURS, ROOT, TARGET, Builder, Missing, Recipe, Worker, run, say

OPERATORS = ["layer_norm", "rms_norm", "dynamic_tanh"]
SHAPES = [(4096, 256), (16384, 1024), (16384, 2048), (16384, 4096), (16384, 8192)]
# A thousand blocks, width 256, 4,096 tokens.
SIZE = "F"
# What has to be importable, and the worker's word for it.
PEERS = {
    "torch": ("torch", "eager"),
    "torch compiled": ("torch", "compiled"),
    "liger": ("liger_kernel", "liger"),
    "quack": ("quack", "quack"),
}
TOLERANCE = 1e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", help="Plummet's worker")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20, help="calls of an operator in a round")
    parser.add_argument("--quick", action="store_true", help="the first and the last shape only")
    parser.add_argument("--only", choices=["steps", "ops"], help="leave the other part out")
    return parser.parse_args()


def gpu():
    """The name of the GPU; ends where there is none."""
    try:
        import torch
    except ImportError:
        refuse("PyTorch is not installed here")
    if not torch.cuda.is_available():
        refuse("there is no NVIDIA GPU that PyTorch sees")
    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}"


def refuse(why):
    print(f"error: {why}", file=sys.stderr)
    sys.exit(2)


def ours(given):
    if given:
        return str(Path(given).resolve())
    command = ["cargo", "bench", "--bench", "peer", "--features", "cuda", "--no-run"]
    for line in run(*command, "--message-format=json", cwd=ROOT).splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "peer":
            return message["executable"]
    raise Missing("cargo built no executable")


def started(peer, directory):
    """The workers that are alive, ours first."""
    recipes = {OURS: Recipe([peer, "cuda"])}
    for name, (package, word) in PEERS.items():
        if importlib.util.find_spec(package):
            recipes[name] = Recipe([sys.executable, str(HERE / "gpu_worker.py"), word])
        else:
            say(name, "is left out: it cannot be imported")
    return [Worker(name, recipe, None, directory) for name, recipe in recipes.items()]


def able(workers, question, limit=300):
    """Those who can, and what they answered."""
    answers = {}
    for worker in workers:
        try:
            answers[worker] = worker.ask(question, limit)
        except Missing as why:
            say("   ", worker.name, "cannot:", why)
    return answers


def in_turn(workers, question, rounds):
    """The first number that every worker answered in every round, in alternating order."""
    samples = {worker.name: [] for worker in workers}
    for i in range(rounds + 1):
        for worker in workers if i % 2 == 0 else workers[::-1]:
            try:
                seconds = worker.numbers(question)[0]
            except Missing as why:
                say("   ", worker.name, "failed:", why)
                workers = [other for other in workers if other is not worker]
                samples.pop(worker.name)
                continue
            if i > 0 and worker.name in samples:
                samples[worker.name].append(seconds)
    return samples


def compared(samples):
    """Of everybody the median of the seconds, and of the ratios to ours."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ratios = {
        name: statistics.median(theirs / own for theirs, own in zip(values, samples[OURS]))
        for name, values in samples.items()
    }
    return medians, ratios


def moved(rows, cols, which):
    """Bytes that a pass must move: x and y, or x and two gradients; what has one row does not count."""
    return 4 * rows * cols * (2 if which == "forward" else 3)


def line(what, samples, amount=None):
    medians, ratios = compared(samples)
    shown = [
        f"{name} {seconds * 1e3:.4g} ms"
        + (f" ({amount / seconds / 1e9:.0f} GB/s)" if amount else "")
        + ("" if name == OURS else f" ×{ratios[name]:.2f}")
        for name, seconds in medians.items()
    ]
    print(f"{what:<38}" + "; ".join(shown), flush=True)
    return {"what": what, "seconds": medians, "times_ours": ratios}


def operators(workers, options):
    results = []
    for name in OPERATORS:
        for rows, cols in SHAPES[:: len(SHAPES) - 1] if options.quick else SHAPES:
            for which in ("forward", "backward"):
                ready = list(able(workers, f"op {name} {which} {rows} {cols}"))
                if workers[0] in ready:
                    samples = in_turn(ready, f"device {options.calls}", options.rounds)
                    if samples.get(OURS):
                        amount = moved(rows, cols, which)
                        results.append(line(f"{name} {which} {rows}×{cols}", samples, amount))
    return results


def steps(workers, peer, directory, options):
    run(peer, "export", str(directory), SIZE)
    losses = {
        worker: float(words[0]) for worker, words in able(workers, f"load {SIZE}", 900).items()
    }
    if workers[0] not in losses:
        return [], []
    own = losses[workers[0]]
    wrong = [
        f"{worker.name}: loss {loss} against our {own}"
        for worker, loss in losses.items()
        if not abs(loss - own) <= TOLERANCE
    ]
    samples = in_turn(list(losses), "steps 3", options.rounds)
    found = [line("a step, 1000 blocks, width 256", samples)] if samples.get(OURS) else []
    return found, wrong


def main():
    options = arguments()
    where = gpu()
    print(where, flush=True)
    TARGET.mkdir(parents=True, exist_ok=True)
    try:
        peer = ours(options.peer)
    except Missing as why:
        refuse(why)
    results, wrong, begun = [], [], time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        workers = started(peer, directory)
        try:
            if options.only != "steps":
                results += operators(workers, options)
            if options.only != "ops":
                found, wrong = steps(workers, peer, directory, options)
                results += found
        finally:
            for worker in workers:
                worker.stop()
    say(f"{time.monotonic() - begun:.0f} s")
    if options.out:
        options.out.write_text(json.dumps({"gpu": where, "results": results, "wrong": wrong}))
    for text in wrong:
        say("DISAGREEMENT:", text)
    sys.exit(1 if wrong or not results else 0)


if __name__ == "__main__":
    main()
