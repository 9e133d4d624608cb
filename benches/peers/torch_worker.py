"""The training step and the operators in PyTorch; `compiled` as a first argument compiles the block."""

import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import protocol

HEADS = 4
SEQ = 128  # of the attention that is measured by itself
EPS = 1e-5


def block(x, norm1, bias1, qkv, out, norm2, bias2, up, down):
    batch, seq, width = x.shape
    y = F.layer_norm(x, (width,), norm1, bias1, EPS)
    y = F.linear(y, qkv).view(batch, seq, 3, HEADS, width // HEADS)
    q, k, v = y.permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(y.transpose(1, 2).reshape(batch, seq, width), out)
    y = F.layer_norm(x, (width,), norm2, bias2, EPS)
    return x + F.linear(F.gelu(F.linear(y, up), approximate="tanh"), down)


class Training:
    """A model and its optimiser at the weights of a file."""

    def __init__(self, path, compiled, device="cpu", **optimizer):
        given = load_file(path, device=device)
        self.block = torch.compile(block) if compiled else block
        self.tokens, self.targets = given["tokens"], given["targets"].flatten()
        self.learned = []
        depth = sum(name.endswith("norm1.weight") for name in given)
        self.blocks = [self.weights_of_block(given, f"blocks.{i}.") for i in range(depth)]
        ends = ["embed.weight", "positions.weight", "norm.weight", "norm.bias", "head.weight"]
        self.embed, self.positions, self.norm, self.bias, self.head = (
            self.learn(given[name]) for name in ends
        )
        self.optimizer = torch.optim.AdamW(
            self.learned, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True, **optimizer
        )

    def learn(self, tensor):
        self.learned.append(tensor.clone().requires_grad_())
        return self.learned[-1]

    def weights_of_block(self, given, prefix):
        qkv = torch.cat([given[f"{prefix}attn.{part}.weight"] for part in "qkv"])
        get = lambda name: given[prefix + name]
        own = [get("norm1.weight"), get("norm1.bias"), qkv, get("attn.out.weight")]
        own += [get("norm2.weight"), get("norm2.bias"), get("ffn.up.weight"), get("ffn.down.weight")]
        return [self.learn(tensor) for tensor in own]

    def step(self):
        x = F.embedding(self.tokens, self.embed) + self.positions
        for weights in self.blocks:
            x = self.block(x, *weights)
        x = F.layer_norm(x, x.shape[-1:], self.norm, self.bias, EPS)
        loss = F.cross_entropy(F.linear(x, self.head).flatten(0, 1), self.targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def gradient_norm(self):
        return torch.sqrt(sum(w.grad.double().square().sum() for w in self.learned)).item()


def operator(name, rows, cols):
    """A function and its arguments that have a gradient."""
    draw = lambda *shape: torch.randn(*shape).requires_grad_()
    x, weight = draw(rows, cols), torch.ones(cols, requires_grad=True)
    bias, one = torch.zeros(cols, requires_grad=True), torch.tensor([0.5], requires_grad=True)
    mean, var = torch.zeros(cols), torch.ones(cols)
    plain = {
        "softmax": lambda x: F.softmax(x, -1),
        "relu": F.relu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "bare_rms_norm": lambda x: F.rms_norm(x, (cols,), eps=EPS),
    }
    match name:
        case "layer_norm":
            return lambda x, w, b: F.layer_norm(x, (cols,), w, b, EPS), (x, weight, bias)
        case "rms_norm":
            return lambda x, w: F.rms_norm(x, (cols,), w, EPS), (x, weight)
        case "batch_norm":
            batch_norm = lambda x, w, b: F.batch_norm(x, mean, var, w, b, True, 0.1, EPS)
            return batch_norm, (x, weight, bias)
        case "scale_norm":
            return lambda x, g: x * (g / x.norm(dim=-1, keepdim=True)), (x, one)
        case "dynamic_tanh":
            dynamic_tanh = lambda x, a, w, b: torch.addcmul(b, w, torch.tanh(a * x))
            return dynamic_tanh, (x, one, weight, bias)
        case "causal_attention":
            shape = (rows // SEQ, HEADS, SEQ, cols // HEADS)
            attention = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return attention, (draw(shape), draw(shape), draw(shape))
        case _ if name in plain:
            return plain[name], (x,)
    raise protocol.Refused(f"there is no operator {name}")


class Torch:
    def __init__(self, directory, compiled=False):
        torch.manual_seed(1)
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self.directory, self.compiled = directory, compiled

    def load(self, size):
        if self.compiled and size == "E":
            raise protocol.Refused("not tried at a thousand blocks")
        self.training = Training(f"{self.directory}/{size}.safetensors", self.compiled)
        loss = self.training.step().item()
        return loss, self.training.gradient_norm()

    def steps(self, n):
        for _ in range(n):
            self.training.step()

    def op(self, name, which, rows, cols):
        function, args = operator(name, rows, cols)
        dy = torch.randn_like(function(*args))

        def forward():
            with torch.no_grad():
                function(*args)

        def both():
            torch.autograd.grad(function(*args), args, dy)

        self.call = forward if which == "forward" else both

    def calls(self, n):
        for _ in range(n):
            self.call()


if __name__ == "__main__":
    protocol.serve(lambda directory: Torch(directory, compiled="compiled" in sys.argv[3:]))
