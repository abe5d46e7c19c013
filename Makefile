# `make demo` and `make test` work on a fresh clone; everything they need is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-fast coverage prove prove-engines prove-lineage torture lint format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/python -m forebay demo .

test: $(READY) lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-fast: $(READY)
	$(BIN)/python -m pytest --fast --numprocesses auto --dist loadfile

# Lines that the fast tests reach; fails below the floor in pyproject.toml. Not a part of `make test`:
# under coverage the tests take about twice as long.
coverage: $(READY)
	$(BIN)/python -m pytest -m 'not slow' --numprocesses auto --dist loadfile --cov --cov-report=term

# The one law over N drawn views, data and clocks: `make prove N=100000`.
N ?= 2000
prove: $(READY)
	$(BIN)/python -m tests.prove $(N)

# Column lineage of N drawn views against its own oracle: no edge may be missing.
prove-lineage: $(READY)
	$(BIN)/python -m tests.lineage $(N)

torture: $(READY)
	FOREBAY_KILL_ROUNDS=50 $(BIN)/pytest -k kill tests/serving/stores/cql/test_store.py tests/serving/sync/test_killed.py tests/lakehouse/stream tests/lakehouse/ingest/test_killed.py tests/lakehouse/maintain/test_killed.py tests/forebay/builds/test_backfill.py

# All cases written by hand, all functions and ENGINE_N drawn cases on a real Trino and a real Spark.
ENGINE_N ?= 200
prove-engines: $(READY)
	$(BIN)/python -m tests.feature_specs.engine_differential trino spark --probes --drawn $(ENGINE_N)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf target logs lake online.lmdb .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
