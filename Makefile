# One command a task. Each sets up what it needs: a virtual environment in .venv, and nnfast in it.

# The first of these that is there and new enough; python3 is older than 3.11 on some systems.
PYTHON ?= $(or $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done),python3)
BIN := .venv/bin
SOURCES := $(wildcard csrc/*) $(shell find src/nnfast \( -name "*.py*" -o -name "*.pxi" \) -not -path "*__pycache__*") setup.py pyproject.toml
# NNFAST_DATA_DIR names a folder with MNIST and wine; where it is not set the tests that need them are skipped and `make train` trains on digits.

.PHONY: python train test attack-files thesis pictures docs bench bench-peers lint format asan clang warnings arm avx512 tsan valgrind dist wheels clean

train: .venv/installed-plot ## train a real network, with progress and a picture of the curve
	$(BIN)/nnfast train $(if $(NNFAST_DATA_DIR),mnist,digits) --plot training-curve.png

test: .venv/installed-test ## the test suite; PYTEST_ARGS may name a part of it
	$(BIN)/python -m pytest -q $(PYTEST_ARGS)

attack-files: .venv/installed-test ## hostile files, memory limits and processes, the long form
	NNFAST_LONG=1 $(BIN)/python -m pytest -q tests/files/test_attacks_on_files.py

thesis: .venv/installed-plot ## the whole source thesis, compared value by value: build/thesis/report.html
	$(BIN)/nnfast thesis --out build/thesis

pictures: .venv/installed-plot ## the descents of docs/learn/optimizers.md
	$(BIN)/python docs/make_pictures.py

docs: .venv/installed-docs ## the documentation, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

bench: .venv/installed-bench ## native against reference: the table of the README
	$(BIN)/python -m benchmarks.report

bench-peers: .venv/installed-peers ## nnfast against every peer, and the limits of the machine: docs/benchmarks.md (about an hour)
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.peers_report

lint: .venv/installed-lint warnings ## formatters, linters and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" cython-lint src/nnfast/_core.pyx src/nnfast/_core_*.pxi
	$(BIN)/clang-format --dry-run -Werror csrc/*.[ch] csrc/*.inc

format: .venv/installed-lint
	$(BIN)/ruff check --fix-only . ; $(BIN)/ruff format .
	$(BIN)/clang-format -i csrc/*.[ch] csrc/*.inc

# Address and undefined-behaviour sanitizers over the kernel tests. Their run time comes before the interpreter, whose own allocator is switched off.
asan: ## the kernel tests under the sanitizers
	$(MAKE) variant NAME=asan FLAGS='NNFAST_SANITIZE=address,undefined' RUN='LD_PRELOAD="$$$$(gcc -print-file-name=libasan.so) $$$$(gcc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0'

CLANG ?= $(shell for name in clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do command -v $$name && break; done)
clang: ## the kernel tests, built by clang
	$(MAKE) variant NAME=clang FLAGS='CC=$(CLANG)'

warnings: ## the engine, with warnings as errors; nothing is built
	$(CC) -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror -fsyntax-only csrc/*.c

# The engine without Python (tests/driver.c), where that is what a tool or an emulator wants.
DRIVER := -std=c11 -O2 -g -ffp-contract=off -pthread -Icsrc tests/driver.c csrc/*.c -lm
arm: ## NEON, emulated, against this machine: the same bits (needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user)
	mkdir -p build && aarch64-linux-gnu-gcc -static $(DRIVER) -o build/driver-arm && $(CC) $(DRIVER) -o build/driver
	test "$$(qemu-aarch64 build/driver-arm)" = "$$(build/driver)" && echo "NEON: the same bits"

avx512: ## AVX-512, emulated, on a machine that has AVX2: the same bits
	mkdir -p build && $(CC) -Wno-psabi '-D__builtin_cpu_supports(set)=1' tests/emulated_avx512.c $(filter-out csrc/kernels_avx512.c,$(subst csrc/*.c,$(wildcard csrc/*.c),$(DRIVER))) -O1 -g0 -o build/driver-avx512
	$(CC) $(DRIVER) -o build/driver && test "$$(build/driver-avx512 avx512)" = "$$(build/driver avx2)" && echo "AVX-512: the same bits"

tsan: ## races between workers, by ThreadSanitizer
	mkdir -p build && $(CC) -fsanitize=thread $(DRIVER) -o build/driver-tsan && build/driver-tsan

valgrind: ## every access of the engine (valgrind has no AVX-512)
	mkdir -p build && $(CC) $(DRIVER) -o build/driver && valgrind -q --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect build/driver avx2

# A copy of the tree with a build of its own.
.PHONY: variant
variant:
	rm -rf build/$(NAME) && mkdir -p build/$(NAME) && git ls-files -z csrc src tests setup.py pyproject.toml README.md LICENSE | xargs -0 cp --parents -t build/$(NAME)
	cd build/$(NAME) && $(PYTHON) -m venv venv && $(FLAGS) venv/bin/pip install -q -e '.[test]'
	cd build/$(NAME) && $(RUN) venv/bin/python -m pytest -q -p no:cacheprovider tests/kernels $(TESTS)

dist: .venv/installed-lint ## sdist and wheel; the sdist is installed in an empty environment and tried
	rm -rf dist build/dist && $(BIN)/pip install -q build && $(BIN)/python -m build
	$(PYTHON) -m venv build/dist && build/dist/bin/pip install -q dist/*.tar.gz
	cd build && dist/bin/nnfast train --epochs 2
	ls -l dist

wheels: ## a wheel with each Python from 3.11 on that is found here; each is tried in an empty environment
	.ci/wheels build/wheels

# The package, compiled anew when a source has changed.
.venv/installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	touch $@

# .venv/installed-EXTRA: what one extra adds to the package that is installed already
.venv/installed-%: .venv/installed
	$(BIN)/pip install -q 'nnfast[$*]'
	touch $@

python: ## the Python that virtual environments are made with
	@echo $(PYTHON)

clean:
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache src/nnfast/_core.c src/nnfast/*.so
