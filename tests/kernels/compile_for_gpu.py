"""Compile every GPU kernel to machine code for a card that need not be there: prints name and registers of each.

The interpreter takes code that the compiler refuses; this is the other half of the evidence. Run by test_triton.py.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from hypermol.kernels import columns_triton, correlate_triton, moments_triton, separate_triton, slice_insert_triton

IMAGES = dict.fromkeys(("numerator", "weight", "rotation", "k", "grid", "k3", "values", "first", "second"), "*fp32")
TYPES = {
    **IMAGES,
    "places": "*fp32",
    "out": "*fp32",
    "half": "*i64",
    "size": "fp32",
    "turn": "fp32",
    "shift": "*fp32",
    "width": "i32",
    "box": "fp32",
}
TYPES |= dict.fromkeys(("gram", "projection", "power", "overlap"), "*fp64")
KERNELS: list[tuple[Any, dict[str, int], dict[str, str]]] = [
    (moments_triton._slice, {"channels": 1, "lanes": 1, "block": 128}, {}),
    (moments_triton._slice, {"channels": 3, "lanes": 4, "block": 128}, {}),
    (moments_triton._slice, {"channels": 11, "lanes": 16, "block": 16}, {}),
    (moments_triton._slice, {"channels": 21, "lanes": 32, "block": 16, "num_warps": 8}, {}),
    (moments_triton._insert, {"channels": 11, "moments": 66, "record": 32, "block": 16}, {}),
    (separate_triton._slice, {"channels": 20, "lanes": 16, "block": 32}, {}),
    (separate_triton._insert, {"channels": 20, "record": 32, "block": 16}, {}),
    (slice_insert_triton._slice, {"channels": 1, "lanes": 1, "block": 512}, {}),
    (slice_insert_triton._insert, {"floats": 2, "numbers": 2, "lanes": 2, "block": 256}, {}),
    (slice_insert_triton._insert, {"floats": 1, "numbers": 1, "lanes": 1, "block": 512}, {}),
    (correlate_triton._correlate, {"block": 256}, {"out": "*fp64", "width": "i32"}),
    (columns_triton._insert, {"lanes": 8, "block": 128}, {"width": "fp32"}),
]


def main(capability: int) -> None:
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    for kernel, given, special in KERNELS:
        options = {name: given[name] for name in given if name == "num_warps"}
        constants = {name: value for name, value in given.items() if name not in options}
        types = {**TYPES, **special, **dict.fromkeys(constants, "constexpr")}
        signature = {name: types.get(name, "i32") for name in kernel.arg_names}
        values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        source = ASTSource(fn=kernel, signature=signature, constexprs=values)
        code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["cubin"]
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(code)
            file.flush()
            command = [os.fspath(tools / "cuobjdump"), "--dump-resource-usage", file.name]
            used = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", used).groups()  # type: ignore[union-attr]
        print(kernel.__module__.split(".")[-1], kernel.__name__, constants, "registers", registers, "spilled", stack)


if __name__ == "__main__":
    main(int(sys.argv[1]))
