# `make demo` and `make test` need Python 3.11 or later and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench node-parts viewer clean

demo: $(VENV)/installed  ## a populated gateway on http://localhost:8200, until Ctrl-C
	@exec $(BIN)/dsgctl demo

test: check  ## all checks and tests
	$(BIN)/python -m pytest

bench: $(VENV)/tested  ## how fast it is: ratios taken in one run, printed and written to bench.json; needs wrk and nginx
	$(BIN)/python -m tests.bench --json bench.json

check: $(VENV)/tested  ## lint, types, and which module may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

node-parts: tests/e2e/node/node_modules  ## what the end-to-end tests take from npm; without it they say what they leave out

tests/e2e/node/node_modules: tests/e2e/node/package.json
	cd tests/e2e/node && npm install --no-audit --no-fund --no-package-lock
	@touch $@

viewer: tests/e2e/viewer/dist/index.html  ## the real Neuroglancer, for tests/e2e/test_neuroglancer.py; needs chromium too

tests/e2e/viewer/dist/index.html: tests/e2e/viewer/package.json tests/e2e/viewer/vite.config.js tests/e2e/viewer/main.js
	cd tests/e2e/viewer && npm install --no-audit --no-fund --no-package-lock && npm run build

clean:  ## forget what was built and installed here
	rm -rf $(VENV) tests/e2e/*/node_modules tests/e2e/viewer/dist build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
