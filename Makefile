# Everything runs in .venv, which the first target makes; nothing else needs to be installed before.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test chaos properties callbacks check format clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv: .venv/ready

demo: .venv/ready
	$(BIN)/python -m demo

test: .venv/ready
	$(BIN)/pytest

# Kills so many runs with -9, in each combination of API dialect and output store, and counts what became of the rows.
KILLS ?= 30
COMMAND_KILLS ?= 2
chaos: .venv/ready
	$(BIN)/python -m tests.acceptance.chaos --kills $(KILLS) --command-kills $(COMMAND_KILLS) \
		$(if $(DIALECT),--dialect $(DIALECT)) $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED))

# Broken input by the thousand; every run tries other cases. SEED=7 tries those of that seed again.
CASES ?= 10000
properties: .venv/ready
	PROPERTY_CASES=$(CASES) $(BIN)/pytest tests/properties $(if $(SEED),--hypothesis-seed=$(SEED))

# Sends so many callbacks, forged and broken ones among them, to a receiver that is killed meanwhile.
COUNT ?= 3000
callbacks: .venv/ready
	$(BIN)/python -m tests.acceptance.callbacks --count $(COUNT)

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out demo/.samples
