PYTHON ?= python3

.PHONY: demo test clean

# The core alone, without torch: pose transfer on the drawn figures.
demo: .venv/installed
	.venv/bin/dptn transfer --pairs examples/figures/pairs.csv --images examples/figures/images \
		--model models/figures.onnx -o results/figures
	@echo "The pictures are in results/figures/"

# Everything that the tests need, in an environment of its own.
test: .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# openpifpaf is compiled: about three minutes, with g++ (README, Detecting poses).
.venv-test/installed: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check setuptools wheel
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --no-cache-dir openpifpaf==0.13.11
	@touch $@

clean:
	rm -rf .venv .venv-test results
