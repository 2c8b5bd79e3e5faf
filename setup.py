"""The extension, and nothing else; metadata is in pyproject.toml.

One set of flags for all files and all machines: instruction sets are chosen by target regions in csrc/kernels_*.c and at import.
"""

import os
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# -ffp-contract=off: only the fused multiply-adds that are written down, so that every instruction set rounds alike.
# No flag that changes the meaning of floating point.
compile_args = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0", "-pthread"]
link_args = ["-pthread"]
macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]

if sanitizers := os.environ.get("NNFAST_SANITIZE"):  # e.g. "address,undefined", as `make asan` sets it
    flags = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
    compile_args += flags
    link_args += flags

core = Extension(
    "nnfast._core",
    sources=["nnfast/_core.pyx", *sorted(str(p) for p in Path("csrc").glob("*.c"))],
    depends=sorted(str(p) for pattern in ("*.h", "*.inc") for p in Path("csrc").glob(pattern)),
    include_dirs=["csrc", numpy.get_include()],
    define_macros=macros,
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)

setup(ext_modules=cythonize([core]))
