"""From raw samples to `peers.md` and the tables of the picture. Nothing is measured here."""

from statistics import median

from workers import OURS, PEERS

# Quoted, not measured here: processor ms of a step and MiB at A to E of llm.c (C, -Ofast).
LLM_C_STEP = {"A": 191, "B": 1541, "C": 1956, "D": 1262, "E": 1704}
LLM_C_MEMORY = {"A": 174, "B": 1338, "C": 697, "D": 788, "E": 2145}

LEGEND = {
    "torch": "PyTorch as pip installs it",
    "torch tuned": "PyTorch with an allocator that keeps its memory and with MKL's AVX-512 paths "
    "unlocked (by itself MKL takes 256-bit paths on some processors)",
    "torch compiled": "the same, the block compiled by `torch.compile`",
    "jax": "JAX, one jitted step, the blocks under `lax.scan`",
    "candle": "candle, `layer_norm` and `softmax` composed (its fused ones have no backward pass)",
    "burn": "burn on its `flex` backend",
}


def clock(threads):
    """Which of [wall, cpu] counts: processor time on one thread, wall time on several."""
    return 1 if threads == 1 else 0


def seconds(entry, name):
    """The median time of a step, or none."""
    worker = entry["workers"].get(name)
    return worker and median(s[clock(entry["threads"])] for s in worker["samples"])


def floor(entry):
    """The matrix products shared out among the threads without loss."""
    return median(entry["floor"]) / entry["threads"]


def ratio(samples, name, which):
    """The median over the rounds of a peer's time over ours in the same round."""
    if name not in samples or OURS not in samples:
        return None
    pairs = zip(samples[name], samples[OURS])
    return median(peer[which] / ours[which] for peer, ours in pairs)


def step_ratio(entry, name):
    samples = {name: worker["samples"] for name, worker in entry["workers"].items()}
    return ratio(samples, name, clock(entry["threads"]))


def number(value, form):
    return "–" if value is None else format(value, form)


def times(value):
    """A ratio; where the peer is the faster one it stands out."""
    text = number(value, ".2f")
    return f"**{text}**" if value and value < 1 else text


def ms(value):
    return number(value and value * 1e3, ".1f" if value and value < 0.1 else ".0f")


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def peers_of(entries):
    return [name for name in PEERS if any(name in entry["workers"] for entry in entries)]


def series(results):
    """The steps by the number of threads."""
    found = {}
    for entry in results["steps"]:
        found.setdefault(entry["threads"], []).append(entry)
    return found


def shape(results, size):
    return "/".join(map(str, results["sizes"][size]))


def step_table(results, entries):
    peers = peers_of(entries)
    rows = []
    for entry in entries:
        ours, bare = seconds(entry, OURS), floor(entry)
        best = min((seconds(entry, name) for name in peers if name in entry["workers"]), default=None)
        row = [f"{entry['size']} {shape(results, entry['size'])}", ms(ours), ms(bare)]
        row.append(number(ours / bare, ".2f"))
        row += [times(step_ratio(entry, name)) for name in peers]
        row.append(number(best and best / bare, ".2f"))
        rows.append(row)
    head = ["width/depth/seq/batch", "Plummet ms", "floor ms", "Plummet / floor"]
    return table([*head, *peers, "best peer / floor"], rows)


def steps(results):
    for threads, entries in series(results).items():
        kind = "one thread, processor time" if threads == 1 else f"{threads} threads, wall time"
        yield f"## Training step, {kind}\n"
        yield step_table(results, entries)


def memory(results):
    entries = series(results).get(1) or results["steps"]
    peers = peers_of(entries)
    mib = lambda entry, name: number(
        entry["workers"].get(name) and entry["workers"][name]["memory"] / 1024, ".0f"
    )
    rows = [[e["size"], *[mib(e, name) for name in [OURS, *peers]]] for e in entries]
    yield "## Peak resident memory, MiB\n"
    yield "Of the whole process, interpreter and libraries included.\n"
    yield table(["size", "Plummet", *peers], rows)


def agreement(results):
    """The largest difference of the first step, by peer."""
    loss, gradient = {}, {}
    for entry in results["steps"]:
        ours = entry["workers"][OURS]
        for name, worker in entry["workers"].items():
            difference = abs(worker["loss"] - ours["loss"])
            loss[name] = max(loss.get(name, 0), difference)
            if worker["gradient"]:
                difference = abs(worker["gradient"] / ours["gradient"] - 1)
                gradient[name] = max(gradient.get(name, 0), difference)
    peers = peers_of(results["steps"])
    rows = [[name, number(loss[name], ".1e"), number(gradient.get(name), ".1e")] for name in peers]
    yield "## The same step\n"
    yield "The first step from the same weights on the same batch, largest difference from ours.\n"
    yield table(["", "loss", "norm of the gradient, relative"], rows)


def quoted(results):
    sizes = list(results["sizes"])
    yield "## Quoted, not measured here: llm.c\n"
    yield (
        "llm.c (C, -Ofast), one thread, on a machine whose matrix products ran at about 2.3 times "
        "the rate above. Its head is tied to its embedding.\n"
    )
    step, mib = [LLM_C_STEP[size] for size in sizes], [LLM_C_MEMORY[size] for size in sizes]
    yield table(["", *sizes], [["processor ms of a step", *step], ["MiB", *mib]])


def operators(results):
    cases = {}
    for case in results["operators"]:
        key = (case["name"], case["rows"], case["cols"])
        cases.setdefault(key, {})[case["pass"]] = case["samples"]
    if not cases:
        return
    peers = [name for name in PEERS if any(name in s for both in cases.values() for s in both.values())]
    # The bar is PyTorch with its allocator tuned.
    peers.sort(key=lambda name: name != "torch tuned")
    rows = []
    for (name, height, width), both in cases.items():
        row = [name, f"{height}×{width}"]
        for which in ("forward", "both"):
            samples = both.get(which, {})
            ours = samples.get(OURS)
            row.append(number(ours and median(s[1] for s in ours) * 1e6, ".0f"))
            row += [times(ratio(samples, peer, 1)) for peer in peers]
        rows.append(row)
    yield "## Operators, one thread, processor time\n"
    yield (
        "µs of Plummet, and how many times as long the others take; left forward, right forward "
        "and backward with the gradients of all arguments. Attention is causal: 8 samples of 128 "
        "tokens, 4 heads that share the width.\n"
    )
    half = lambda title: [title, *peers]
    yield table(["operator", "rows×cols", *half("forward µs"), *half("both µs")], rows)


def surroundings(results):
    machine, versions = results["machine"], results["versions"]
    simd = f"x86-64 with {machine['simd']}" if machine["simd"] else "no AVX2"
    text = f"{simd}, {machine['cores']} cores, {machine['memory']} GiB."
    rates = [entry["flops"] / median(entry["floor"]) / 1e9 for entry in results["steps"]]
    if rates:
        text += (
            f" The matrix products of a step run at {min(rates):.0f} to {max(rates):.0f} GFLOP/s "
            "on one thread, by size."
        )
    others = max((entry.get("others", 0) for entry in results["steps"]), default=0)
    if others > 0.1:
        text += (
            f" **Others kept up to {others:.1f} cores busy** before a measurement: times on several "
            "threads mean little."
        )
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Machine: {text}\n\nVersions: {listed}.\n"


def missing(results):
    reasons = dict(results["missing"])
    for entry in results["steps"]:
        for name, why in entry["missing"].items():
            reasons.setdefault(f"{name} at {entry['size']}, threads {entry['threads']}", why)
    if reasons:
        yield "## Left out\n"
        yield "".join(f"- {name}: {why}\n" for name, why in reasons.items())


def text(results):
    present = peers_of(results["steps"])
    legend = "".join(f"- **{name}**: {LEGEND[name]}\n" for name in present)
    parts = ["# Plummet beside its peers\n"]
    parts.append(
        "The same training step everywhere: a causal decoder in f32, Pre-LN with a final norm, "
        "tanh GELU, 4 heads, feed-forward of four times the width, vocabulary 256, forward, "
        "backward and AdamW, from the same weights.\n"
    )
    parts.append(
        "A peer's column is its time over ours: the median of the ratios of one round, over rounds "
        "in which all run in turn; above 1 Plummet is faster, below 1 (bold) the peer is. The *floor* is what the matrix "
        "products of the step take by themselves, each at the rate that faer reaches on one "
        "thread, measured in the same rounds (on several threads divided by their number). *Best "
        "peer / floor* is the most that any implementation on these products could win over the "
        "best peer.\n"
    )
    parts += [legend] if legend else []
    if present:
        parts.append("![Steps as multiples of the floor](peers.png)\n")
    parts.append(surroundings(results))
    if results["steps"]:
        parts += [*steps(results), *memory(results), *agreement(results), *quoted(results)]
    parts += [*operators(results), *missing(results)]
    parts.append("## How to reproduce\n")
    parts.append("```\npython3 benches/peers/run.py\n```\n")
    parts.append("`--quick --sizes A --threads 1` takes a minute once everything is installed.\n")
    return "\n".join(parts)


def picture(results):
    """Words and tables for the picture: every step as a multiple of its floor."""
    maps = []
    names = [OURS, *peers_of(results["steps"])]
    for threads, entries in series(results).items():
        value = lambda name, entry: (t := seconds(entry, name)) and t / floor(entry)
        maps.append(
            {
                "title": "one thread" if threads == 1 else f"{threads} threads",
                "rows": names,
                "columns": [entry["size"] for entry in entries],
                "values": [[value(name, entry) for entry in entries] for name in names],
            }
        )
    ours, best = spans(maps[0]["values"]) if maps else ("", "")
    sizes = {entry["size"] for entry in results["steps"]}
    listed = ", ".join(f"{size} {shape(results, size)}" for size in sorted(sizes))
    return {
        "title": f"A step takes Plummet {ours} its matrix products, the best peer {best}",
        "subtitle": "Time of a training step over the time of its matrix products alone; lower is better",
        "maps": maps,
        "value": "times the floor",
        "notes": [f"Width/depth/sequence/batch: {listed}. A dash was not measured."],
    }


def spans(values):
    """The least and the most of our row, and of the best of the others, in words."""
    ours, *peers = values
    best = [min(filter(None, column)) for column in zip(*peers) if any(column)]
    return [f"{min(row):.1f} to {max(row):.1f} times" for row in (ours, best)]
