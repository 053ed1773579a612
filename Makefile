PYTHON ?= python3
# Arguments for pytest: `make test ARGS=tests/cli`, `make test ARGS='-m "not slow"'`. Without them,
# all tests run in two processes, which keep the tests of a file together.
ARGS ?= --numprocesses 2 --dist loadfile

.PHONY: demo test system clean

# Pose transfer on the drawn figures. The environment has the core alone, without torch.
demo: .venv/installed
	.venv/bin/dptn transfer --pairs examples/figures/pairs.csv --images examples/figures/images \
		--model models/figures.onnx -o results/figures
	@echo "The images are in results/figures/"

# Linters, types and tests, in an environment of their own with every optional package.
test: system .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest $(ARGS)

# The system packages for the tests. What is missing and cannot be installed ends `make` here.
system:
	@tests/system_packages.sh $(PYTHON) venv compiler browser

.venv/installed: pyproject.toml
	@tests/system_packages.sh $(PYTHON) venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# openpifpaf comes last: it pins an old torch, and compiles for about three minutes with g++.
.venv-test/installed: pyproject.toml | system
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check setuptools wheel
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --no-cache-dir openpifpaf==0.13.11
	@touch $@

clean:
	rm -rf .venv .venv-test results
