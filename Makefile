# Everything happens in .venv, which the targets make and refresh by themselves.
PYTHON ?= python3
BIN := .venv/bin
# Where this is set, each of the hundreds of programs that the tests start compiles Tenfold anew.
export PYTHONDONTWRITEBYTECODE :=

.DELETE_ON_ERROR:
.PHONY: help install train test test-fast test-slow test-all test-lowest chromium lint lint-systems notebook notebook-open docs schemas pictures bench bench-accuracy bench-serve bench-hostile bench-auto bench-tables dist serve clean

help:
	@echo "make train      train on MNIST: the whole path, in seconds"
	@echo "make test       run the tests: some nine minutes on two slow cores"
	@echo "make test-fast  without the browser, Ray, notebooks and what takes long: for every small change"
	@echo "make install    install every extra and the development tools"
	@echo "make lint       check style and types; lint-systems: types as on Windows and macOS"
	@echo "make docs       the documentation as a site, in docs/_build/html"
	@echo "make test-slow  also the tests with many seeds"
	@echo "make test-all   the tests on every Python that Tenfold supports and that is here"
	@echo "make test-lowest  test-fast with the oldest packages that are allowed"
	@echo "make dist       the wheels, sdists and SBOMs of tenfold and tenfold-slim, in dist/"
	@echo "make notebook   run the notebooks and write them with what they show"
	@echo "make notebook-open  open the tutorial in JupyterLab"
	@echo "make bench      measure side by side with the tutorial's program"
	@echo "make serve      answer over HTTP from the newest run"
	@echo "make bench-serve  the service under load, side by side with LitServe, Starlette, FastAPI and Keras; needs a C compiler"
	@echo "make bench-hostile  memory and time that hostile files of 1 MB take"
	@echo "make bench-auto  auto beside every learner by itself, on small tables; goes on where it stopped"
	@echo "make bench-tables  large tables beside pandas, scikit-learn and LightGBM; goes on where it stopped"
	@echo "make bench-accuracy  accuracy of every recipe over seeds; goes on where it stopped"

install: .venv/all

train: .venv/core
	$(BIN)/tenfold train mnist

test: .venv/all chromium
	$(BIN)/pytest -n 2 -rs --durations=25

test-fast: .venv/all
	$(BIN)/pytest -n 2 -q -rs -m "not (slow or long or browser or ray or notebook)"

test-slow: .venv/all chromium lint-systems
	$(BIN)/pytest -m "slow or not slow" --thorough

test-all: .venv/all chromium
	$(BIN)/python -m release.test_all

test-lowest: .venv/all
	$(BIN)/python -m release.test_lowest

# The pages are tested in a real browser. As root on Debian it is installed; elsewhere those tests say they were not run.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && apt-get install -qy --no-install-recommends chromium; \
	  else false; fi; } \
	  || echo "No Chromium here: the tests in a browser will be reported as not run"

lint: .venv/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# As on Windows and macOS: a minute and a half, because each platform is checked from the beginning.
lint-systems: .venv/all
	$(BIN)/mypy --platform win32 --no-warn-unreachable src
	$(BIN)/mypy --platform darwin --no-warn-unreachable src

notebook: .venv/all
	$(BIN)/python -m notebooks.build

# JupyterLab is installed here and not with `make install`: only who opens a notebook needs it.
notebook-open: .venv/all
	@$(BIN)/jupyter-lab --version >/dev/null 2>&1 || { \
	  if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python 'jupyterlab>=4'; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check 'jupyterlab>=4'; fi; }
	$(BIN)/jupyter-lab notebooks/tutorial.ipynb

docs: .venv/all
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# What is stored and made: the promise of docs/format.md; the pictures, outputs and figures of the pages.
schemas: .venv/all
	$(BIN)/python -m docs.reference

pictures: .venv/all
	$(BIN)/python -m docs.pictures
	$(BIN)/python -m docs.outputs
	$(BIN)/python -m docs.measured

bench: .venv/all
	$(BIN)/python -m bench

bench-accuracy: .venv/all
	$(BIN)/python -m bench.accuracy

bench-serve: .venv/all
	$(BIN)/python -m bench.serve

bench-hostile: .venv/all
	$(BIN)/python -m bench.hostile

bench-auto: .venv/all
	$(BIN)/python -m bench.auto

bench-tables: .venv/all
	$(BIN)/python -m bench.tables

dist: .venv/all
	$(BIN)/python -m release

# The newest run; another one: make serve RUN=runs/mnist-network-1
RUN = $(shell ls -dt runs/*/model.onnx 2>/dev/null | head -1 | xargs -r dirname)
serve: .venv/serve
	@test -n "$(RUN)" || { echo "There is no run yet: make train"; exit 1; }
	$(BIN)/tenfold serve $(RUN)

clean:
	rm -rf .venv .venvs .bench

# uv where it is present, else venv and pip. Debian keeps venv in a package of its own.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tenfold needs Python 3.11 or newer; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --python "$(PYTHON)" .venv; \
	else $(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }; fi

.venv/core: pyproject.toml | .venv/bin/python
	@$(call install,.)
	@touch $@

.venv/serve: pyproject.toml | .venv/bin/python
	@$(call install,.[serve])
	@touch $@ .venv/core

.venv/all: pyproject.toml | .venv/bin/python
	@$(call install,.[dev])
	@touch $@ .venv/core .venv/serve

define install
echo "Installing $(1) into .venv: half a minute, once"; \
if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python -e '$(1)'; \
else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '$(1)'; fi
endef
