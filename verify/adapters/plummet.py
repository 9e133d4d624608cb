"""The gate's protocol for an adapter in Python: needs nothing but the standard library.

    plummet.serve(name, version, ops, run)

ops is what hello declares; run(request) answers a request, whose "tensors" are name -> (dtype,
shape, bytes), with tensors of the same form. It raises NotImplementedError for what it does not
serve; any other exception is an answer of its own, for what an operator has to refuse."""
import json, os, struct, sys


def frame(message, tensors={}):
    """One frame; the largest items come first, as the format has it."""
    size = lambda item: -int("".join(filter(str.isdigit, item[1][0])))
    header, data = {"__metadata__": {"plummet": json.dumps(message)}}, b""
    for name, (dtype, shape, content) in sorted(tensors.items(), key=size):
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        data += content
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<8sQQ", b"PLUMMET1", 8 + len(header) + len(data), len(header)) + header + data


def requests(pipe):
    """The requests of the gate, until there are no more."""
    while len(start := pipe.read(16)) == 16:
        file = pipe.read(struct.unpack("<8sQ", start)[1])
        size = 8 + struct.unpack("<Q", file[:8])[0]
        header = json.loads(file[8:size])
        request = json.loads(header.pop("__metadata__")["plummet"])
        if request["kind"] == "bye":
            return
        request["tensors"] = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            request["tensors"][name] = (entry["dtype"], entry["shape"], file[size + begin : size + end])
        yield request


def answer(request, run):
    seq = request["seq"]
    try:
        for _ in range(request.get("repeat", 1)):
            tensors = run(request)
        return frame({"kind": "ok", "seq": seq}, {name: tensors[name] for name in request["want"]})
    except NotImplementedError as error:
        return frame({"kind": "unsupported", "seq": seq, "reason": str(error)})
    except Exception as error:
        return frame({"kind": "error", "seq": seq, "message": f"{type(error).__name__}: {error}"})


def serve(name, version, ops, run, claims={}):
    # Frameworks print: what they print from here on goes to standard error.
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    who = {"name": name, "version": version, "language": "python"}
    hello = {"kind": "hello", "protocol": 1, "impl": who, "ops": ops, "claims": claims}
    for request in requests(sys.stdin.buffer):
        pipe.write(frame(hello) if request["kind"] == "hello" else answer(request, run))
        pipe.flush()
