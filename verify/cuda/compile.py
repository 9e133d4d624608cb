"""Compiles the kernels: every .cu file of the sources to the .ptx beside it, and where it stores
what it is told to (Real, see src/op/device/common.cuh) to a .bf16.ptx and a .f16.ptx as well.

    python3 -m venv .venv && .venv/bin/pip install nvidia-cuda-nvrtc==13.5.37
    .venv/bin/python verify/cuda/compile.py [--check | --registers] [FILE.cu ...]

No GPU and no driver are needed. With --check nothing is written: a .ptx that is not what its .cu
compiles to is named, and the exit code is 1. With --registers nothing is written either: every
kernel is compiled to machine code for three generations of chips, and its registers, shared memory
and spills are printed; a spill ends with exit code 1.
"""

import ctypes
import glob
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The oldest chip that the kernels are for; a driver compiles PTX for any later one.
ARCHITECTURE = "compute_80"
# The PTX language of CUDA 12.0. A driver refuses a text that names a later one than its own, and the
# compiler names its newest, whatever a text makes use of.
LANGUAGE = "8.0"
# Chips whose machine code --registers looks at.
CHIPS = ["sm_80", "sm_90", "sm_100"]
# What Real is, by the end of the name of what is compiled with it.
STORAGES = {".ptx": "float", ".bf16.ptx": "Bf16", ".f16.ptx": "F16"}


def library():
    """The compiler of the package nvidia-cuda-nvrtc."""
    for folder in sys.path:
        found = glob.glob(f"{folder}/nvidia/cu13/lib/libnvrtc.so.13")
        if found:
            return ctypes.CDLL(found[0])
    sys.exit("the package nvidia-cuda-nvrtc is needed: pip install nvidia-cuda-nvrtc==13.5.37")


def text(size, fill, program):
    """A text that the compiler keeps: its size first, then itself."""
    length = ctypes.c_size_t()
    size(program, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value)
    fill(program, buffer)
    return buffer.value.decode()


def program_of(nvrtc, source, architecture, more=()):
    """A .cu file, compiled, and what the compiler said of it."""
    program = ctypes.c_void_p()
    name = str(source.relative_to(ROOT)) if source.is_relative_to(ROOT) else source.name
    nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.read_bytes(), name.encode(), 0, None, None
    )
    options = [
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "--generate-line-info",
        f"--include-path={source.parent}",
        *more,
    ]
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    failed = nvrtc.nvrtcCompileProgram(program, len(options), array)
    log = text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
    if failed:
        sys.exit(f"{name} does not compile:\n{log}")
    return program, name, log


def names_real(source):
    """Whether a source, or one that it includes, takes what may be stored: common.cuh says what that is."""
    said = source.read_text()
    included = re.findall(r'(?m)^#include "(.*)"', said)
    others = (source.parent / name for name in included if not name.endswith("common.cuh"))
    return bool(re.search(r"\bReal\b", said)) or any(map(names_real, others))


def storages(source):
    """The storages that a .cu file is compiled for: more than one where it names Real."""
    return STORAGES if names_real(source) else {".ptx": STORAGES[".ptx"]}


def shorter(ptx):
    """The same PTX without what nobody reads: comments, indentation, debug sections; and of the lines of
    the source those of memory, of branches and of what threads do together, without the inlined calls
    that led there. Parameters and labels have short names."""
    named = re.compile(r"(@!?%p\d+ )?(atom|bar|barrier|bra|call|ld|red|ret|shfl|st|vote)\b(?!\.param)")
    kept, said, place = [], None, None
    for line in ptx.split("\n"):
        line = re.sub(r"\b\w+_param_(\d+)\b", r"param_\1", " ".join(line.split()))
        line = line.replace("$L__BB", "$L")
        if line.startswith(".section"):
            break
        if found := re.match(r"\.loc (\d+ \d+)", line):
            place = found[1]
            continue
        if ".entry" in line:
            said, place = None, None
        if named.match(line) and place != said:
            said = place
            kept.append(f".loc {said} 0")
        if line and not line.startswith("//"):
            kept.append(line)
    return "\n".join(kept) + "\n"


def compiled(nvrtc, source, real):
    """The PTX of a .cu file, the names of files in it counted from the project's folder."""
    program, name, log = program_of(nvrtc, source, ARCHITECTURE, [f"--define-macro=REAL={real}"])
    if log.strip():
        print(f"{name}:\n{log}", file=sys.stderr)
    ptx = shorter(text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program))

    def from_the_root(match):
        path = pathlib.Path(match[2])
        path = (path if path.is_absolute() else ROOT / path).resolve()
        for folder in (ROOT, pathlib.Path.cwd()):
            if path.is_relative_to(folder):
                return f'{match[1]}"{path.relative_to(folder)}"'
        return f'{match[1]}"{path.name}"'

    ptx = re.sub(r"(?m)^\.version .*$", f".version {LANGUAGE}", ptx)
    return re.sub(r'(\.file\s+\d+ )"([^"]*)"', from_the_root, ptx)


def registers(nvrtc, files):
    """Prints what every kernel takes of every chip; the number of kernels that spill."""
    said = re.compile(
        r"Compiling entry function '(\w+)' for '(\w+)'.*?(\d+) bytes stack frame, "
        r"(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers(.*?)\n",
        re.S,
    )
    spilling = 0
    print(f"{'kernel':<44}{'chip':<9}{'registers':>9}{'shared':>9}{'stack':>7}{'spilled':>9}")
    for source, end in [(source, end) for source in files for end in storages(source)]:
        print(source.with_suffix(end).name)
        for chip in CHIPS:
            more = [f"--define-macro=REAL={STORAGES[end]}", "--ptxas-options=-v"]
            log = program_of(nvrtc, source, chip, more)[2]
            for kernel, chip, stack, stores, loads, used, rest in said.findall(log):
                shared = re.search(r"(\d+) bytes smem", rest)
                spilled = int(stores) + int(loads)
                spilling += spilled > 0
                shared = shared[1] if shared else "0"
                print(f"{kernel:<44}{chip:<9}{used:>9}{shared:>9}{stack:>7}{spilled:>9}")
    return spilling


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    files = [pathlib.Path(a).resolve() for a in arguments if not a.startswith("--")]
    files = files or sorted((ROOT / "src").rglob("*.cu"))
    nvrtc = library()
    if "--registers" in arguments:
        sys.exit(1 if registers(nvrtc, files) else 0)
    stale = []
    for source, end in [(source, end) for source in files for end in storages(source)]:
        ptx, beside = compiled(nvrtc, source, STORAGES[end]), source.with_suffix(end)
        if beside.exists() and beside.read_text() == ptx:
            continue
        stale.append(str(beside.relative_to(ROOT)) if beside.is_relative_to(ROOT) else str(beside))
        if not check:
            beside.write_text(ptx)
    for name in stale:
        print(f"{name} is not what its .cu compiles to" if check else f"{name} written")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
