# make run    set up and run the whole chain on the simulated hospital
# make study  what pre-training is worth: the tables of docs/measurements/study.md
# make attack SECONDS=3600 RUNS=200   kill it, fault it, feed it hostile SQL: see docs/trust.md
# make test   set up and run the tests; make test-fast leaves out Spark, training and whole runs
# make docs   the documentation as a site, in site/: fails where a link leads nowhere
# make executors   dist/executors.tar.gz: the Python of a Spark cluster's executors (docs/spark_submit.md)
# make sbom   the pinned dependencies as CycloneDX, sbom.json; make audit: is a weakness known of any?
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A torch that PYTHON has is used as it is, whether PYTHON is the system's, conda's or that of another
# virtual environment: it is gigabytes, and built for its machine. Links and a .pth file lead to it and to
# the libraries it was built with, and to nothing else there.
TORCH := $(shell $(PYTHON) -c "import os, importlib.util as u; print(os.path.dirname(*u.find_spec('torch').submodule_search_locations))" 2>/dev/null)

# Three processes on two cores, for each waits a third of its time for another one that it has started.
# What shares a costly fixture stays in one of them (tests/conftest.py). In the order of the folders, as the
# groups that take longest, attack and end_to_end, stand in front; by the number of tests they would come last.
SHARED := --numprocesses=3 --dist=loadgroup --no-loadscope-reorder

SECONDS := 3600
RUNS := 200

# Tools that the project does not import have an environment of their own.
TOOLS := $(VENV)-tools

.PHONY: run study attack test test-fast lint docs executors sbom audit clean

run: $(VENV)/.installed
	$(BIN)/kedro run

study: $(VENV)/.installed
	$(BIN)/python benchmarks/study.py --storage data/study

test: $(VENV)/.installed-dev lint
	$(BIN)/pytest $(SHARED)

test-fast: $(VENV)/.installed-dev
	$(BIN)/pytest $(SHARED) -m "not spark and not slow" --ignore=tests/end_to_end

attack: $(VENV)/.installed-dev
	ATTACK_SECONDS=$(SECONDS) $(BIN)/pytest tests/attack
	$(BIN)/python -m tests.attack.crash $(SECONDS)
	$(BIN)/python -m tests.attack.soak $(RUNS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(TOOLS)/.installed
	$(TOOLS)/bin/zensical build --clean --strict

# What executors import: this package without torch and Kedro. Made on the nodes' operating system, with
# a Python that they have at the same place.
EXECUTORS := build/executors
executors:
	rm -rf build
	$(PYTHON) -m venv $(EXECUTORS)
	$(EXECUTORS)/bin/pip install --quiet --constraint constraints.txt venv-pack==0.2.0 \
		duckdb duckdb-extension-httpfs duckdb-extensions "ibis-framework[duckdb]" pyarrow s3fs sqlglot
	$(EXECUTORS)/bin/pip install --quiet --no-deps .
	mkdir -p dist
	$(EXECUTORS)/bin/venv-pack --force --quiet --prefix $(EXECUTORS) --output dist/executors.tar.gz

sbom: $(TOOLS)/.installed
	$(TOOLS)/bin/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file sbom.json

audit: $(TOOLS)/.installed
	$(TOOLS)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

$(TOOLS)/.installed: Makefile
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1 zensical==0.0.73
	touch $@

$(VENV)/constraints.txt: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),mkdir -p $(VENV)/torch)
	$(if $(TORCH),cd "$(TORCH)" && for part in torch torch[.-]* torchgen functorch nvidia nvidia_* triton triton-*; \
		do test ! -e "$$part" || ln -sfn "$(TORCH)/$$part" "$(CURDIR)/$(VENV)/torch/"; done)
	$(if $(TORCH),echo "$(CURDIR)/$(VENV)/torch" > $$(echo $(VENV)/lib/python*/site-packages)/torch.pth)
	$(if $(TORCH),grep -v '^torch==' constraints.txt,cat constraints.txt) > $@

$(VENV)/.installed: pyproject.toml $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(TOOLS) sbom.json site build dist .mypy_cache .ruff_cache .pytest_cache
