"""The extension, and nothing else; metadata is in pyproject.toml.

One set of flags for all files and all machines: instruction sets are chosen by target regions in csrc/kernels_*.c and at import.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

# -ffp-contract=off: only the fused multiply-adds that are written down, so that every instruction set rounds alike.
# No flag that changes the meaning of floating point.
compile_args = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0", "-pthread"]
link_args = ["-pthread"]
macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]

if sanitizers := os.environ.get("NNFAST_SANITIZE"):  # e.g. "address,undefined", as `make asan` sets it
    flags = [
        f"-fsanitize={sanitizers}",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        "-fno-wrapv",  # Python's own -fwrapv defines signed overflow, and so hides it from the sanitizer
        "-g",
        "-O1",  # with the checks in, -O3 takes minutes to compile and makes little that is faster
    ]
    compile_args += flags
    link_args += flags


class Build(build_ext):
    """The usual build, a file on each processor, with a word for whoever has no compiler: nnfast is its engine, so there is nothing to fall back to."""

    def build_extensions(self) -> None:
        compile_files = self.compiler.compile

        def compile_side_by_side(sources: list[str], *args: object, **kwargs: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                parts = pool.map(lambda source: compile_files([source], *args, **kwargs), sources)
                return [compiled for part in parts for compiled in part]

        self.compiler.compile = compile_side_by_side
        try:
            super().build_extensions()
        except (CompileError, PlatformError, OSError) as error:
            raise SystemExit(
                f"nnfast: the engine could not be compiled ({error}).\n"
                "nnfast needs a C11 compiler, gcc or clang, and Python's headers: for example "
                "`apt install gcc python3-dev`, or `xcode-select --install`. CC names another one."
            ) from error


core = Extension(
    "nnfast._core",
    sources=["src/nnfast/_core.pyx", *sorted(str(p) for p in Path("csrc").glob("*.c"))],
    depends=[
        *sorted(str(p) for pattern in ("*.h", "*.inc") for p in Path("csrc").glob(pattern)),
        *sorted(str(p) for p in Path("src/nnfast").glob("_core_*.pxi")),
    ],
    include_dirs=["csrc", numpy.get_include()],
    define_macros=macros,
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)

setup(ext_modules=cythonize([core]), cmdclass={"build_ext": Build})
