# Everything runs in .venv, which the first target creates. `make demo` installs what the demo needs; the other targets
# install everything.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL = $(BIN)/pip install --quiet --constraint constraints.txt --editable

.PHONY: demo test proofs chaos properties callbacks poll-vs-callback mutations bench architecture check format clean

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# Compiles on all cores and without the packages' tests, which pip does not support.
.venv/ready-demo: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) '.[demo]' --no-compile
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true
	touch $@

.venv/ready: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) '.[dev]'
	touch .venv/ready-demo $@

.venv: .venv/ready

demo: .venv/ready-demo
	$(BIN)/python -m demo

# All tests but the long ones: minutes. `.venv/bin/pytest` alone runs both kinds, one test after the other.
test: .venv/ready
	$(BIN)/pytest --numprocesses 2 --dist loadfile --ignore tests/proofs

# The long ones: processes that are killed, servers that are lost, deployments, benchmarks with a few rows.
proofs: .venv/ready
	$(BIN)/pytest --numprocesses 2 --dist loadfile tests/proofs

# Kills KILLS runs with -9, in each combination of API version and output store, and counts the outcomes of the rows.
KILLS ?= 30
COMMAND_KILLS ?= 2
chaos: .venv/ready
	$(BIN)/python -m tests.proofs.chaos --kills $(KILLS) --command-kills $(COMMAND_KILLS) \
		$(if $(API),--api $(API)) $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED))

# Broken input by the thousand; every run tries other cases. SEED=7 tries those of that seed again.
CASES ?= 10000
properties: .venv/ready
	PROPERTY_CASES=$(CASES) $(BIN)/pytest tests/properties $(if $(SEED),--hypothesis-seed=$(SEED))

# Sends COUNT callbacks, including forged and broken ones, to a receiver that is killed KILLS times meanwhile; then the
# sandbox sends those of SENT tasks. CORE=1: the receiver may use that core only.
COUNT ?= 3000
callbacks: KILLS = 5
callbacks: .venv/ready
	$(BIN)/python -m tests.proofs.callbacks --count $(COUNT) --kills $(KILLS) \
		$(if $(SENT),--sent $(SENT)) $(if $(CORE),--core $(CORE)) $(if $(SEED),--seed $(SEED))

# Labels ROWS rows with callbacks only and with polling only; the results must be equal. TURNAROUND: seconds per answer.
ROWS ?= 1000
TURNAROUND ?= 30-300
poll-vs-callback: .venv/ready
	$(BIN)/python -m tests.proofs.callbacks.poll_vs_callback --rows $(ROWS) --turnaround $(TURNAROUND) \
		$(if $(API),--api $(API))

# Breaks the product on purpose, in copies of this folder, and sees that the proofs notice. NAME="no fingerprint": only that.
mutations: .venv/ready
	$(BIN)/python -m tests.proofs.mutations $(if $(NAME),--name "$(NAME)")

# Measures what is claimed about speed and memory, and writes docs/benchmarks.md. NAMES="dry_run labels": only those.
bench: .venv/ready
	$(BIN)/python -m benchmarks $(NAMES)

# Draws docs/architecture.svg from the imports.
architecture: .venv/ready
	$(BIN)/python docs/draw_architecture.py

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out demo/.samples
