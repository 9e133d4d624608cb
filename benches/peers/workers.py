"""The workers: how each is installed or built, started, asked and stopped."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target" / "peers"

OURS = "plummet"
PEERS = ["torch", "torch tuned", "torch compiled", "jax", "candle", "burn"]

# With both, glibc keeps freed memory instead of giving it back and faulting it in again.
KEPT = str(4 << 30)
TUNED = {"MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": KEPT}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Missing(Exception):
    """A peer that cannot take part, and why."""


def run(*command, **options):
    """Runs a command and returns what it printed; a failure is a Missing with its last line."""
    try:
        done = subprocess.run(command, text=True, capture_output=True, **options)
    except OSError as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()[-1]
        raise Missing(f"{Path(command[0]).name}: {last[:200]}")
    return done.stdout


@dataclass
class Recipe:
    """How a worker is started."""

    command: list
    env: dict = field(default_factory=dict)


class Builder:
    """Makes the recipes; what several of them need is made once."""

    def __init__(self, venv):
        self.venv = venv
        self.python = str(venv / "bin" / "python")
        self.done = {}

    def once(self, name, make):
        if name not in self.done:
            try:
                self.done[name] = make()
            except Missing as why:
                self.done[name] = why
        if isinstance(self.done[name], Missing):
            raise self.done[name]
        return self.done[name]

    def recipe(self, name):
        match name.split():
            case ["plummet"]:
                return Recipe([self.once("plummet", self.plummet)])
            case ["torch", *variant]:
                self.install("torch")
                return self.torch(variant)
            case ["jax"]:
                self.install("jax")
                return Recipe([self.python, str(HERE / "jax_worker.py")])
            case ["candle" | "burn"]:
                return Recipe([self.once(name, lambda: self.crate(name))])
        raise Missing("there is no such peer")

    def torch(self, variant):
        env = {}
        if variant:
            env = TUNED | {"LD_PRELOAD": self.once("shim", self.shim)}
        script = str(HERE / "torch_worker.py")
        return Recipe([self.python, script, *[v for v in variant if v == "compiled"]], env)

    def plummet(self):
        """Cargo says where the executable lies."""
        say("building plummet")
        command = ["cargo", "bench", "--bench", "peer", "--no-run", "--message-format=json"]
        for line in run(*command, cwd=ROOT).splitlines():
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == "peer":
                return message["executable"]
        raise Missing("cargo built no executable")

    def crate(self, name):
        say("building", name)
        target = TARGET / name
        build = ["cargo", "build", "--release", "--locked", "--target-dir", str(target)]
        run(*build, cwd=HERE / name)
        return str(target / "release" / f"peer-{name}")

    def install(self, package):
        self.once("venv", self.make_venv)
        self.once(package, lambda: self.pip(package))

    def make_venv(self):
        if not Path(self.python).exists():
            say("making", self.venv)
            run(sys.executable, "-m", "venv", str(self.venv))

    def pip(self, package):
        names = [package, "numpy", "safetensors"]
        check = "; ".join(f"import {name}" for name in names)
        try:
            run(self.python, "-c", check)
        except Missing:
            say("installing", *names)
            run(self.python, "-m", "pip", "install", "--quiet", *names)

    def shim(self):
        """MKL takes its AVX-512 paths only where this says yes."""
        source, library = TARGET / "shim.c", TARGET / "shim.so"
        source.write_text("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
        run(shutil.which("cc") or "cc", "-shared", "-fPIC", "-o", str(library), str(source))
        return str(library)


def environment(recipe, threads):
    """The caller's, without what would tune or untune a worker unasked."""
    unasked = ("MALLOC_", "MKL_", "OMP_", "LD_PRELOAD", "XLA_", "KMP_", "GOMP_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(unasked)}
    if threads is None:
        return env | recipe.env
    names = ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]
    env |= {name: str(threads) for name in names}
    env |= {"JAX_PLATFORMS": "cpu", "RUST_BACKTRACE": "0"}
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return env | recipe.env


class Worker:
    """A running worker, bound to as many cores as it has threads."""

    def __init__(self, name, recipe, threads, directory):
        # All cores where no number of threads is asked for: the work is a device's.
        cores = sorted(os.sched_getaffinity(0))[:threads]
        # The word `worker` and the directory come first; what the recipe adds comes behind them.
        program, extra = split(recipe.command)
        self.name = name
        self.log = open(TARGET / f"{name.replace(' ', '-')}.log", "w")
        self.process = subprocess.Popen(
            [*program, "worker", str(directory), *extra],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment(recipe, threads),
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def ask(self, question, limit=300):
        """The words of the answer. A worker that stays silent too long is stopped."""
        timer = threading.Timer(limit, self.process.kill)
        timer.start()
        start = time.monotonic()
        try:
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            silent = time.monotonic() - start >= limit
            raise Missing(f"no answer within {limit} s" if silent else f"it ended at `{question}`")
        kind, *words = answer.split()
        if kind == "no":
            raise Missing(" ".join(words))
        return words

    def numbers(self, question, limit=300):
        return [float(word) for word in self.ask(question, limit)]

    def stop(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.log.close()


def split(command):
    """A program (an interpreter with its script counts as one) and its further arguments."""
    length = 2 if command[1:] and command[1].endswith(".py") else 1
    return command[:length], command[length:]


def free_memory():
    """Bytes that can still be had."""
    with open("/proc/meminfo") as info:
        return next(int(l.split()[1]) for l in info if l.startswith("MemAvailable")) * 1024


def busy_cores():
    """How many cores are at work over a second in which nothing of ours runs."""

    def ticks():
        with open("/proc/stat") as stat:
            numbers = [int(word) for word in stat.readline().split()[1:9]]
        return sum(numbers), sum(numbers) - numbers[3] - numbers[4]  # all; all but idle and waiting

    before = ticks()
    time.sleep(1)
    total, busy = (after - earlier for after, earlier in zip(ticks(), before))
    return busy / max(total, 1) * (os.cpu_count() or 1)
