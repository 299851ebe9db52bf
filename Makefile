# Two commands are enough: `make demo` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test check soak bench lock clean

demo: .venv/product
	$(BIN)/atlvs demo

test: check
	$(BIN)/python -m pytest -q -m "not soak" -n 3 --dist loadfile

check: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

soak: .venv/development
	$(BIN)/python -m pytest -q

bench: .venv/development
	$(BIN)/python -m tests.benchmarks

lock: .venv/development
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv .atlvs

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/product: .venv/bin/python requirements.lock pyproject.toml
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps -e .
	touch $@

.venv/development: .venv/bin/python requirements-dev.lock pyproject.toml
	$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps -e .
	touch $@
