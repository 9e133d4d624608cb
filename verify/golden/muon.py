"""Golden values of Muon from numpy in float64: two steps of some matrices.

    python muon.py            write muon.json beside this script

The momentum and the iteration as Jordan et al. 2024 publish them (there in bfloat16, which no golden value
can be), the scale as Liu et al. 2025 (arXiv 2502.16982): 0.2·√max(rows, columns).
"""

import json
import pathlib

import numpy as np


def zeroth_power(g, steps=5):
    """Newton and Schulz's quintic iteration, on the side of the matrix that is short."""
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def step(p, g, m, lr, weight_decay, momentum):
    m = m + (1 - momentum) * (g - m)
    ahead = g + momentum * (m - g)
    update = zeroth_power(ahead) * 0.2 * np.sqrt(max(p.shape))
    return p * (1 - lr * weight_decay) - lr * update, m


def tensor(x):
    return {"shape": list(x.shape), "data": x.ravel().tolist()}


def cases():
    rng = np.random.default_rng(20)
    for shape in [(4, 4), (3, 7), (6, 2), (1, 5)]:
        for decay in [0.0, 0.1]:
            p, m = rng.normal(size=shape).round(3), np.zeros(shape)
            attrs = {"lr": 0.02, "weight_decay": decay, "momentum": 0.95}
            for n in [1, 2]:
                g = rng.normal(size=shape).round(3)
                args = {"p": tensor(p), "g": tensor(g), "m": tensor(m)}
                p, m = step(p, g, m, **attrs)
                name = f"{shape[0]}x{shape[1]}_decay_{decay}_step_{n}"
                outputs = {"p": tensor(p), "m": tensor(m)}
                yield {"op": "muon", "name": name, "attrs": attrs, "args": args, "outputs": outputs}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases())
    text = f'{{"group":"muon","numpy":"{np.__version__}","cases":[\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("muon.json").write_text(text)
