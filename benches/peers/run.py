#!/usr/bin/env python3
"""Measures Plummet beside other libraries: see the README beside this file."""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import report
from workers import HERE, OURS, PEERS, ROOT, TARGET, Builder, Missing, Worker
from workers import busy_cores, free_memory, run, say

# Width, depth, sequence, batch: as `src/bench/size.rs` has them.
SIZES = {
    "A": (64, 12, 64, 16),
    "B": (64, 96, 64, 16),
    "C": (256, 12, 128, 8),
    "D": (128, 48, 128, 4),
    "E": (64, 1000, 32, 4),
}
OPERATORS = ["layer_norm", "rms_norm", "batch_norm", "scale_norm", "dynamic_tanh", "bare_rms_norm"]
OPERATORS += ["softmax", "relu", "gelu", "gelu_tanh", "silu"]
SHAPES = [(1024, 64), (4096, 256), (8192, 1024), (4096, 4096)]
# 8 samples of 128 tokens, 4 heads of 16, 32 and 64 features.
ATTENTION = [("causal_attention", 1024, 4 * features) for features in (16, 32, 64)]
WITH_OPERATORS = [OURS, "torch", "torch tuned", "jax"]

LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="ABCDE", help="letters of the sizes of the step")
    parser.add_argument("--peers", default=",".join(PEERS), help="who is measured beside us")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of every comparison")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, each a series")
    parser.add_argument("--only", choices=["steps", "ops"], help="leave the other part out")
    parser.add_argument("--quick", action="store_true", help="3 short rounds, small operators")
    parser.add_argument("--keep", action="store_true", help="keep earlier results of other sizes")
    parser.add_argument("--draw", action="store_true", help="report and picture only")
    parser.add_argument("--venv", type=Path, default=TARGET / "venv", help="where Python's are")
    parser.add_argument("--out", type=Path, default=ROOT / "reports", help="where the report goes")
    given = parser.parse_args()
    if given.quick:
        given.rounds = 3
    given.sizes = [size for size in SIZES if size in given.sizes.upper()]
    given.peers = [peer.strip() for peer in given.peers.split(",") if peer.strip()]
    given.threads = [int(n) for n in given.threads.split(",")]
    return given


def rounds_in_turn(workers, question, count, seconds, threads, each_round=lambda: None):
    """[wall, cpu] of every worker in every round, in alternating order; who fails is dropped.

    Returns the samples and the reasons of those that failed.
    """
    repeats, samples, reasons = {}, {}, {}

    def ask(worker, n):
        wall, cpu = worker.numbers(f"{question} {n}")
        if threads > 1:
            time.sleep(0.05)  # threads that spin for more work go to sleep first
        return wall, cpu

    def safely(worker, work):
        try:
            work()
        except Missing as why:
            reasons[worker.name] = str(why)
            samples.pop(worker.name, None)
            say("   ", worker.name, "failed:", why)

    def calibrate(worker):
        ask(worker, 1)
        wall, _ = ask(worker, 1)
        repeats[worker.name] = max(1, math.ceil(seconds / max(wall, 1e-9)))
        samples[worker.name] = []

    for worker in workers:
        safely(worker, lambda: calibrate(worker))
    for i in range(count):
        each_round()
        for worker in workers if i % 2 == 0 else workers[::-1]:
            if worker.name in samples:
                n = repeats[worker.name]
                safely(worker, lambda: samples[worker.name].append(ask(worker, n)))
    return samples, reasons


def load(worker, size, limit):
    start = time.monotonic()
    numbers = worker.numbers(f"load {size}", limit)
    loss, norm = numbers if len(numbers) == 2 else (numbers[0], None)
    seconds = time.monotonic() - start
    say(f"    {worker.name}: loss {loss:.6f} after {seconds:.1f} s")
    return {"loss": loss, "gradient": norm, "load": seconds}


def measure_steps(recipes, size, threads, options):
    """All workers at one size, alive at the same time."""
    say(f"size {size}, {threads} thread(s)")
    directory = TARGET / "weights"
    run(*recipes[OURS].command, "export", str(directory), size)
    others = busy_cores()
    workers, found, missing, largest = [], {}, {}, 1 << 30
    try:
        for name, recipe in recipes.items():
            if free_memory() < 2 * largest:
                missing[name] = "too little memory beside the others"
                continue
            before = free_memory()
            worker = Worker(name, recipe, threads, directory)
            try:
                found[name] = load(worker, size, 300)
                workers.append(worker)
            except Missing as why:
                missing[name] = str(why)
                say("   ", name, "cannot:", why)
                worker.stop()
            largest = max(largest, before - free_memory())
        floors = []
        ours = next(worker for worker in workers if worker.name == OURS)
        samples, failed = rounds_in_turn(
            workers,
            "steps",
            options.rounds,
            0.1 if options.quick else 0.3,
            threads,
            lambda: floors.append(ours.numbers("floor")),
        )
        for worker in workers:
            if worker.name in samples:
                found[worker.name]["samples"] = samples[worker.name]
                found[worker.name]["memory"] = worker.numbers("memory")[0]
    finally:
        for worker in workers:
            worker.stop()
    return {
        "size": size,
        "threads": threads,
        "others": others,
        "floor": [seconds for seconds, _ in floors],
        "flops": floors[0][1],
        "workers": {name: found[name] for name in samples},
        "missing": missing | failed,
    }


def measure_operators(recipes, options):
    """Every operator, forward and both ways, on one thread."""
    shapes = SHAPES[:2] if options.quick else SHAPES
    cases = [(name, *shape) for name in OPERATORS for shape in shapes] + ATTENTION
    chosen = {name: recipes[name] for name in WITH_OPERATORS if name in recipes}
    workers = [Worker(name, recipe, 1, TARGET / "weights") for name, recipe in chosen.items()]
    results = []
    try:
        for name, rows, cols in cases:
            say(f"operator {name} {rows}x{cols}")
            for which in ("forward", "both"):
                ready = [w for w in workers if prepared(w, f"op {name} {which} {rows} {cols}")]
                count, seconds = (3, 0.02) if options.quick else (options.rounds, 0.05)
                samples, _ = rounds_in_turn(ready, "calls", count, seconds, 1)
                case = {"name": name, "pass": which, "rows": rows, "cols": cols}
                results.append(case | {"samples": samples})
    finally:
        for worker in workers:
            worker.stop()
    return results


def prepared(worker, question):
    try:
        worker.ask(question)
        return True
    except Missing as why:
        say("   ", worker.name, "cannot:", why)
        return False


def recipes(builder, options, missing):
    """How to start us and every peer that can be had; why the others cannot, in `missing`."""
    found = {}
    for name in [OURS, *options.peers]:
        try:
            found[name] = builder.recipe(name)
        except Missing as why:
            missing[name] = str(why)
            say(name, "is left out:", why)
    if OURS not in found:
        sys.exit(f"without our own worker there is nothing to compare: {missing[OURS]}")
    return found


def lock_version(lock, package):
    """The version of a package in a lock file of Cargo."""
    lines = Path(lock).read_text().splitlines()
    at = lines.index(f'name = "{package}"')
    return lines[at + 1].split('"')[1]


def versions(options):
    """Of everybody who takes part, as far as it can be told."""
    found = {"rustc": run("rustc", "--version").split()[1]}
    found["faer"] = lock_version(ROOT / "Cargo.lock", "faer")
    for name, package in [("candle", "candle-core"), ("burn", "burn")]:
        found[name] = lock_version(HERE / name / "Cargo.lock", package)
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    for package in ["torch", "jax", "numpy"]:
        try:
            found[package] = run(str(options.venv / "bin/python"), "-c", code, package).strip()
        except Missing:
            pass
    return found


def machine():
    """The machine in words that do not name it."""
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    simd = next((text for flag, text in [("avx512f", "AVX-512"), ("avx2", "AVX2")] if flag in flags), None)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {"simd": simd, "cores": len(os.sched_getaffinity(0)), "memory": round(memory)}


def disagreements(results):
    """Where the first step of a peer is not ours."""
    for entry in results["steps"]:
        ours = entry["workers"][OURS]
        for name, worker in entry["workers"].items():
            where = f"{name} at {entry['size']}, {entry['threads']} thread(s)"
            if not abs(worker["loss"] - ours["loss"]) <= LOSS_TOLERANCE:
                yield f"{where}: loss {worker['loss']} against our {ours['loss']}"
            norm = worker["gradient"]
            if norm and not abs(norm / ours["gradient"] - 1) <= GRADIENT_TOLERANCE:
                yield f"{where}: gradient norm {norm} against our {ours['gradient']}"


def measure(builder, options):
    path = TARGET / "results.json"
    TARGET.mkdir(parents=True, exist_ok=True)
    results = {"steps": [], "operators": []}
    if options.keep and path.exists():
        results = json.loads(path.read_text())
    results["missing"] = {}
    started = recipes(builder, options, results["missing"])
    results |= {"machine": machine(), "versions": versions(options), "sizes": SIZES}

    def save():
        path.write_text(json.dumps(results))

    if options.only != "ops":
        for size in options.sizes:
            for threads in options.threads:
                entry = measure_steps(started, size, threads, options)
                other = lambda e: (e["size"], e["threads"]) != (size, threads)
                results["steps"] = [*filter(other, results["steps"]), entry]
                results["steps"].sort(key=lambda e: (e["threads"], e["size"]))
                save()
    if options.only != "steps":
        results["operators"] = measure_operators(started, options)
        save()


def main():
    options = arguments()
    builder = Builder(options.venv)
    if not options.draw:
        measure(builder, options)
    results = json.loads((TARGET / "results.json").read_text())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.md").write_text(report.text(results))
    if results["steps"]:
        picture = TARGET / "picture.json"
        picture.write_text(json.dumps(report.picture(results)))
        drawer = builder.recipe(OURS).command
        run(*drawer, "draw", str(picture), str(options.out / "peers.png"))
    say("wrote", options.out / "peers.md")
    wrong = list(disagreements(results))
    for line in wrong:
        say("DISAGREEMENT:", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
