"""The gate's protocol for an adapter in Python: needs nothing but the standard library.

    plummet.serve(name, version, ops, run)

ops is what hello declares; run(request) answers a request, whose "tensors" are name -> (dtype,
shape, bytes), with tensors of the same form; a dtype is named as NumPy and frameworks name it.
It raises NotImplementedError for what it does not serve; any other exception is an answer of its
own, for what an operator has to refuse. framework() makes a run of operators and gradients."""
import json, os, struct, sys

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
          "I64": "int64", "U8": "uint8"}
CODES = {name: code for code, name in DTYPES.items()}


def framework(operators, read, write, gradients):
    """The run of a framework that differentiates.

    operators: name -> function of the tensors and attributes by name, which gives its output, or
    a dict of outputs, the differentiated one first. read(dtype, shape, bytes) and write(tensor)
    convert. gradients(function, inputs, upstream) gives the gradients of the inputs by name,
    which function takes by name."""
    def run(request):
        tensors = {name: read(*tensor) for name, tensor in request["tensors"].items()}
        upstream = tensors.pop("dy", tensors.pop("dloss", None))

        def outputs(**inputs):
            given = operators[request["op"]](**tensors | inputs, **request["attrs"])
            return given if isinstance(given, dict) else {request["want"][0]: given}

        if request["dir"] == "fwd":
            results = outputs()
        else:
            inputs = {name: t for name, t in tensors.items() if "d" + name in request["want"]}
            first = lambda **inputs: next(iter(outputs(**inputs).values()))
            results = gradients(first, inputs, upstream)
            results = {"d" + name: gradient for name, gradient in results.items()}
        return {name: write(results[name]) for name in request["want"]}

    return run


def frame(message, tensors={}):
    """One frame; the largest items come first, as the format has it."""
    size = lambda item: -int("".join(filter(str.isdigit, item[1][0])))
    header, data = {"__metadata__": {"plummet": json.dumps(message)}}, b""
    for name, (dtype, shape, content) in sorted(tensors.items(), key=size):
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": offsets}
        data += content
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    length = 8 + len(header) + len(data)
    return struct.pack("<8sQQ", b"PLUMMET1", length, len(header)) + header + data


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
            begin, end = (size + offset for offset in entry["data_offsets"])
            request["tensors"][name] = (DTYPES[entry["dtype"]], entry["shape"], file[begin:end])
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
