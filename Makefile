# make run    set up and run the whole chain on the simulated hospital
# make test   set up and run the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A torch that PYTHON has is used as it is, whether PYTHON is the system's, conda's or that of another
# virtual environment: it is gigabytes, and built for its machine. A .pth file leads to it.
TORCH := $(shell $(PYTHON) -c "import os, importlib.util as u; print(os.path.dirname(*u.find_spec('torch').submodule_search_locations))" 2>/dev/null)

.PHONY: run test lint clean

run: $(VENV)/.installed
	$(BIN)/kedro run

test: $(VENV)/.installed-dev lint
	$(BIN)/pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/constraints.txt: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),echo "$(TORCH)" > $$(echo $(VENV)/lib/python*/site-packages)/torch.pth)
	$(if $(TORCH),grep -v '^torch==' constraints.txt,cat constraints.txt) > $@

$(VENV)/.installed: pyproject.toml $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
