# `make` lists the targets: each has its line after `##`. What takes more than a line is in scripts/.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?=
SET_UP := requirements/dev.lock pyproject.toml scripts/setup scripts/find-python
# Bytecode is kept: what one target has compiled, the processes of the next need not.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: .venv/.ready ## The demonstration, examples/flights/demo.py
	.venv/bin/python examples/flights/demo.py

.PHONY: demo-serve
demo-serve: .venv/.ready ## A model served, and swapped for a better one while it is asked, examples/flights/serve.py
	.venv/bin/python examples/flights/serve.py

.PHONY: demo-cluster
demo-cluster: .venv/.ready ## Features made day by day on a Dask cluster and on a Ray cluster, and changed while they are made, examples/flights/cluster.py
	.venv/bin/python examples/flights/cluster.py dask
	.venv/bin/python examples/flights/cluster.py ray

.PHONY: test
test: .venv/.ready ## The checks, then all tests with coverage, then all tests on each other Python from 3.10 to 3.13 found here
	@.venv/bin/python scripts/test

.PHONY: coverage
coverage: .venv/.ready ## All tests on the default Python, with coverage of each process that they start, which `make test` leaves out: takes twice as long
	TG_COVERAGE_PATCH=subprocess .venv/bin/python -m pytest -n 2 --dist loadgroup --cov

.PHONY: test-torch
test-torch: .venv-torch/.ready ## The tests with tensors in the payload, in an environment of their own: downloads torch
	.venv-torch/bin/python -m pytest tests/torch

.PHONY: soak
soak: .venv/.ready ## The long versions of the tests that break things: kills, crowds, alterations, full disks, hostile jobs; minutes
	TG_SOAK=1 .venv/bin/python -m pytest tests/faults -n 2 --timeout 0

.PHONY: services
services: ## Start the engine, the ssh server and the registries that tests need, find a browser, and install them as root on Debian; tests do it themselves
	@"$$(scripts/find-python)" scripts/services start

.PHONY: services-stop
services-stop: ## End what the former started
	@"$$(scripts/find-python)" scripts/services stop

.PHONY: check
check: lint types ## Both of the following; seconds

.PHONY: lint
lint: .venv/.ready ## What the linter says, and whether the code is formatted
	.venv/bin/ruff check
	.venv/bin/ruff format --check

.PHONY: types
types: .venv/.ready ## What the type checker says of tg/
	.venv/bin/mypy

.PHONY: format
format: .venv/.ready ## Format the code and put right what the linter can
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

.PHONY: bench
bench: .venv/.ready ## The benchmarks
	.venv/bin/python -m benchmarks

.PHONY: bench-peers
bench-peers: .venv/.ready .venv-peers/.ready .venv-servers/.ready .venv-mlserver/.ready ## The same for other systems, in environments of their own: downloads torch, MLflow, Ray and others
	.venv/bin/python -m benchmarks peers servers

.PHONY: release
release: .venv/.ready ## Build what is uploaded for a release, into dist/, and prove that it is right; nothing is uploaded
	.venv/bin/python scripts/release

.PHONY: lock
lock: .venv/.ready ## Renew requirements/dev.lock after a change of an .in file (newest of everything: make lock UPGRADE=--upgrade)
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes $(UPGRADE) \
		--custom-compile-command "make lock" requirements/dev.in --output-file requirements/dev.lock

.PHONY: clean
clean: ## Remove all that make made: environments, caches, builds
	rm -rf .venv .venv-3.* .venv-torch .venv-peers .venv-servers .venv-mlserver .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* build dist
	find tg tests scripts benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: docs
docs: .venv/.ready ## The documentation as a site, build/site/index.html; links that lead nowhere are errors
	.venv/bin/python scripts/site

.PHONY: notebooks
notebooks: .venv/.ready ## Run the notebooks of docs/ and keep what they print; they need a container engine
	.venv/bin/python scripts/notebook

# The environments: of the default Python, and one for each other. PYTHON= names the interpreter to make it with.
.venv/.ready: $(SET_UP)
	@scripts/setup .venv $(PYTHON)

.venv-3.%/.ready: $(SET_UP)
	@scripts/setup $(@D) $(PYTHON)

# With pip, which heeds PIP_FIND_LINKS and so takes a build for the CPU where one is at hand.
.venv-torch/.ready: $(SET_UP) requirements/torch.txt
	@scripts/setup $(@D) $(PYTHON)
	@.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	@touch $@

.venv-peers/.ready: requirements/peers.txt
	@$$(scripts/find-python) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	@touch $@

.venv-servers/.ready .venv-mlserver/.ready: .venv-%/.ready: .venv/.ready requirements/%.txt
	@.venv/bin/uv venv --quiet --allow-existing --python .venv/bin/python .venv-$*
	@.venv/bin/uv pip install --quiet --python .venv-$*/bin/python -r requirements/$*.txt
	@touch $@
