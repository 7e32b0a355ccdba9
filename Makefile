# make demo    set up, run every template on embedded data, build the gallery page
# make lab     set up, open JupyterLab with the check-ups in its Launcher
# make test    set up, then lint, types, tests (of engines with and without oneDNN, see
#              docs/reproducibility.md), and tests in a real browser
# make browser look for Chromium, and install Debian's where that is possible
# make lock    write requirements.lock again from what .venv holds
#
# All share one virtual environment, .venv. Set PYTHON to choose the interpreter (3.11 to 3.13).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PRESET ?= demo
WORKERS ?= 2
OUTPUTS ?= outputs/$(PRESET)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SAY = @printf '\n\033[1m== %s\033[0m\n'

TEMPLATES := $(patsubst templates/%.ipynb,%,$(wildcard templates/*.ipynb))
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
BROWSER_TESTS := $(wildcard tests/browser)
LAB := widgets/lab
LAB_SOURCES := $(addprefix $(LAB)/,package.json yarn.lock tsconfig.json install.json) \
    $(wildcard $(LAB)/src/*.ts $(LAB)/src/*.tsx $(LAB)/style/*.css)

export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help setup demo lab test lint lint-lab unit other-setting browser browser-tests lock

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

setup: $(READY)

$(BIN)/python:
	$(SAY) "Making the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	    f"kernel_lib needs Python 3.11 to 3.13; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(READY): $(BIN)/python pyproject.toml requirements.lock setup.py $(LAB_SOURCES)
	$(SAY) "Installing kernel_lib and its pinned dependencies (some minutes the first time)"
	$(BIN)/python -m pip install -c requirements.lock -e '.[test]'
	@touch $(READY)

demo: $(READY)
	@for template in $(TEMPLATES); do \
	    printf '\n\033[1m== Running %s at preset $(PRESET)\033[0m\n' "$$template"; \
	    folder="$(OUTPUTS)/$$template"; \
	    $(BIN)/kernel-lib run "$$template" "$$folder" --preset $(PRESET); \
	    $(BIN)/kernel-lib export "$$folder/$$template.ipynb"; \
	done
	$(SAY) "Building the gallery"
	$(BIN)/kernel-lib report $(OUTPUTS)

lab: $(READY)
	$(SAY) "Opening JupyterLab; what you make lies in outputs/lab (Ctrl-C stops it)"
	@mkdir -p outputs/lab
	$(BIN)/jupyter lab --notebook-dir=. --FileContentsManager.preferred_dir=outputs/lab $(AS_ROOT)

test: lint lint-lab unit other-setting browser-tests
	$(SAY) "All tests passed"

lint: $(READY)
	$(SAY) "Lint, format and types"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Node.js is the one that came as a Python package.
lint-lab: $(READY)
	$(SAY) "Lint and tests of the JupyterLab extension"
	@cd $(LAB) && export PATH="$(CURDIR)/$(BIN):$$PATH" && jlpm install --immutable > /dev/null \
	    && jlpm lint && jlpm test

unit: $(READY)
	$(SAY) "Tests"
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --durations 10 \
	    --ignore=tests/browser --ignore=tests/benchmarks $(PYTEST_ARGS)

# oneDNN is on (see docs/reproducibility.md), unless you set the variable. What depends on it is
# tested the other way too; a run of its own, as TensorFlow reads the variable once a process.
OTHER_SETTING := $(if $(filter 0,$(TF_ENABLE_ONEDNN_OPTS)),1,0)
ENGINE_TESTS := tests/network tests/models/test_training.py tests/invariance/test_zoo.py \
    tests/saliency/test_methods.py tests/errors/test_conductance.py tests/errors/test_mutants.py \
    tests/doctor/test_gradients.py

other-setting: $(READY)
	$(SAY) "Tests of the engines with TF_ENABLE_ONEDNN_OPTS=$(OTHER_SETTING)"
	TF_ENABLE_ONEDNN_OPTS=$(OTHER_SETTING) $(BIN)/pytest -n $(WORKERS) --dist loadfile \
	    --durations 5 $(ENGINE_TESTS)

# A second run of its own: Playwright and the Jupyter test plugin each want the event loop.
browser-tests: browser $(READY)
ifneq ($(BROWSER_TESTS),)
	$(SAY) "Tests in a browser"
	$(BIN)/pytest tests/browser $(PYTEST_ARGS)
endif

browser:
	$(SAY) "Looking for Chromium"
	@find_browser() { \
	    if [ -n "$${KERNEL_LIB_BROWSER:-}" ]; then command -v "$$KERNEL_LIB_BROWSER"; return; fi; \
	    for name in chromium chromium-browser google-chrome; do \
	        command -v $$name && return; \
	    done; \
	    return 1; \
	}; \
	if find_browser; then exit 0; fi; \
	if [ -z "$${KERNEL_LIB_BROWSER:-}" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "None found: installing Debian's chromium"; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	    find_browser; \
	else \
	    echo "No Chromium found. Install chromium, or set KERNEL_LIB_BROWSER to the program." >&2; \
	    exit 1; \
	fi

lock: $(READY)
	$(SAY) "Writing requirements.lock"
	@{ sed -n '/^#/p' requirements.lock; \
	   $(BIN)/python -m pip freeze --exclude-editable --exclude pip \
	   | sed -E 's/^(pexpect|ptyprocess)==.*/& ; sys_platform != "win32"/'; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
	@git diff --stat -- requirements.lock
