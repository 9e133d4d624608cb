"""A worker on a GPU: eager, compiled, liger or quack, as the first argument says."""

import statistics
import sys

import torch
import torch.nn.functional as F

import protocol
from torch_worker import EPS, Training

# Cleared caches: some times the largest second cache, so that the work behind is asked for meanwhile.
CLEARED = 512 << 20


def functions(kind, name, cols):
    """The operator as this library has it: a function of its arguments."""
    if kind in ("eager", "compiled"):
        plain = {
            "layer_norm": lambda x, w, b: F.layer_norm(x, (cols,), w, b, EPS),
            "rms_norm": lambda x, w: F.rms_norm(x, (cols,), w, EPS),
            "dynamic_tanh": lambda x, a, w, b: torch.addcmul(b, w, torch.tanh(a * x)),
        }
        if name not in plain:
            raise protocol.Refused(f"{name} is not measured here")
        return torch.compile(plain[name]) if kind == "compiled" else plain[name]
    if kind == "liger":
        from liger_kernel.ops.layer_norm import LigerLayerNormFunction
        from liger_kernel.ops.rms_norm import LigerRMSNormFunction

        match name:
            case "layer_norm":
                return lambda x, w, b: LigerLayerNormFunction.apply(x, w, b, EPS)
            case "rms_norm":
                # No offset; gradients beside x, which is needed again.
                return lambda x, w: LigerRMSNormFunction.apply(x, w, EPS, 0.0, "llama", False)
    if kind == "quack" and name == "rms_norm":
        from quack import rmsnorm

        return lambda x, w: rmsnorm(x, w, eps=EPS)
    raise protocol.Refused(f"{kind} has no {name}")


def arguments(name, rows, cols):
    draw = lambda *shape: (0.5 + torch.rand(*shape, device="cuda")).requires_grad_()
    x, weight, bias = draw(rows, cols), draw(cols), draw(cols)
    return {
        "layer_norm": (x, weight, bias),
        "rms_norm": (x, weight),
        "dynamic_tanh": (x, draw(1), weight, bias),
    }.get(name) or (x,)


class Gpu:
    def __init__(self, directory, kind):
        torch.manual_seed(1)
        self.directory, self.kind = directory, kind
        self.cleared = torch.empty(CLEARED, dtype=torch.int8, device="cuda")

    def load(self, size):
        if self.kind not in ("eager", "compiled"):
            raise protocol.Refused("a training step is measured in torch only")
        compiled = self.kind == "compiled"
        path = f"{self.directory}/{size}.safetensors"
        training = Training(path, compiled, device="cuda", capturable=compiled)
        loss = training.step().item()
        norm = training.gradient_norm()
        self.step = training.step
        if compiled:
            self.step = self.recorded(training)
        return loss, norm

    def recorded(self, training):
        """The whole step, forward, backward and update, as one CUDA graph."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                training.step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            training.step()
        return graph.replay

    def steps(self, n):
        for _ in range(n):
            self.step()
        torch.cuda.synchronize()

    def op(self, name, which, rows, cols):
        function, args = functions(self.kind, name, cols), arguments(name, rows, cols)
        y = function(*args)
        dy = torch.rand_like(y)

        def forward():
            with torch.no_grad():
                function(*args)

        def backward():
            torch.autograd.grad(y, args, dy, retain_graph=True)

        self.call = forward if which == "forward" else backward
        for _ in range(3):
            self.call()
        torch.cuda.synchronize()

    def device(self, n):
        seconds = []
        for _ in range(max(n, 1)):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.cleared.zero_()
            start.record()
            self.call()
            end.record()
            end.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
        return statistics.median(seconds)


if __name__ == "__main__":
    # The graph of a backward pass is used again and again.
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    protocol.serve(lambda directory: Gpu(directory, sys.argv[3]))
