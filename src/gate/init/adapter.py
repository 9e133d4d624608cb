"""layer_norm, rms_norm and softmax in NumPy, served to the gate. Put yours in their place:
plummet gate check -- python adapter.py"""
import json, os, struct, sys
import numpy as np

def layer_norm(attrs, x, weight=1, bias=0, dy=None):
    cols = tuple(range(-attrs["normalized_dims"], 0))
    centred = x - x.mean(cols, keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean(cols, keepdims=True) + attrs["eps"])
    hat = centred * rstd
    if dy is None:
        return {"y": hat * weight + bias}
    g, rows = dy * weight, tuple(range(x.ndim - len(cols)))
    dx = rstd * (g - g.mean(cols, keepdims=True) - hat * (g * hat).mean(cols, keepdims=True))
    return {"dx": dx, "dweight": (dy * hat).sum(rows), "dbias": dy.sum(rows)}

def rms_norm(attrs, x, weight=None, dy=None):
    rstd = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + attrs["eps"])
    hat, weight = x * rstd, 1 if weight is None else weight + x.dtype.type(attrs["offset"])
    if dy is None:
        return {"y": hat * weight}
    dx = rstd * (dy * weight - hat * (dy * weight * hat).mean(-1, keepdims=True))
    return {"dx": dx, "dweight": (dy * hat).sum(tuple(range(x.ndim - 1)))}

def softmax(attrs, x, dy=None):
    most = x.max(-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(most), 0, most))  # a row of -inf gives zeros
    y = e / np.maximum(e.sum(-1, keepdims=True), np.finfo(x.dtype).tiny)
    return {"y": y} if dy is None else {"dx": y * (dy - (dy * y).sum(-1, keepdims=True))}

both = {"dir": ["fwd", "bwd"], "dtype": ["f32", "f64"]}
HELLO = {"kind": "hello", "ops": {"layer_norm": both, "rms_norm": both, "softmax": both},
         "protocol": 1, "impl": {"name": "numpy", "version": np.__version__, "language": "python"}}
DTYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4")}
pipe = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what is printed from here on goes to standard error
while start := sys.stdin.buffer.read(16):
    file = sys.stdin.buffer.read(struct.unpack("<8sQ", start)[1])
    size = 8 + struct.unpack("<Q", file[:8])[0]
    header = json.loads(file[8:size])
    request = json.loads(header.pop("__metadata__")["plummet"])
    if request["kind"] == "bye":
        break
    answer, arrays, entries, data = HELLO, {}, {}, b""
    if request["kind"] in ("run", "time"):
        for name, t in header.items():
            begin, end = (size + offset for offset in t["data_offsets"])
            arrays[name] = np.frombuffer(file[begin:end], DTYPES[t["dtype"]]).reshape(t["shape"])
        for _ in range(request.get("repeat", 1)):
            results = globals()[request["op"]](request["attrs"], **arrays)
        answer = {"kind": "ok", "seq": request["seq"]}
        for name, array in ((name, results[name]) for name in request["want"]):
            offsets, data = [len(data), len(data) + array.nbytes], data + array.tobytes()
            dtype = next(key for key in DTYPES if DTYPES[key] == array.dtype)
            entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": offsets}
    header = json.dumps({"__metadata__": {"plummet": json.dumps(answer)}, **entries}).encode()
    file = struct.pack("<Q", len(header)) + header + data
    pipe.write(struct.pack("<8sQ", b"PLUMMET1", len(file)) + file)
    pipe.flush()
