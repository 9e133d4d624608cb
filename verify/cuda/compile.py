"""Compiles the kernels: every .cu file of the sources to the .ptx beside it.

    python3 -m venv .venv && .venv/bin/pip install nvidia-cuda-nvrtc==13.5.37
    .venv/bin/python verify/cuda/compile.py [--check] [FILE.cu ...]

No GPU and no driver are needed. With --check nothing is written: a .ptx that is not what its .cu
compiles to is named, and the exit code is 1.
"""

import ctypes
import glob
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The oldest chip that the kernels are for; a driver compiles PTX for any later one.
ARCHITECTURE = "compute_80"


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


def compiled(nvrtc, source, architecture=ARCHITECTURE, more=()):
    """The PTX of a .cu file, the names of files in it counted from the project's folder."""
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
    if log.strip():
        print(f"{name}:\n{log}", file=sys.stderr)
    ptx = text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)

    def from_the_root(match):
        path = pathlib.Path(match[2])
        path = (path if path.is_absolute() else ROOT / path).resolve()
        for folder in (ROOT, pathlib.Path.cwd()):
            if path.is_relative_to(folder):
                return f'{match[1]}"{path.relative_to(folder)}"'
        return f'{match[1]}"{path.name}"'

    return re.sub(r'(\.file\s+\d+ )"([^"]*)"', from_the_root, ptx)


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    files = [pathlib.Path(a).resolve() for a in arguments if a != "--check"]
    files = files or sorted((ROOT / "src").rglob("*.cu"))
    nvrtc = library()
    stale = []
    for source in files:
        ptx, beside = compiled(nvrtc, source), source.with_suffix(".ptx")
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
