# Every command here sets itself up: the first one to run builds .venv, the next ones find it ready.

PYTHON ?= python3
# The versions that pip must not choose: torch is pinned before the other constraints are resolved, because a newer
# one brings gigabytes of CUDA libraries; promptsource cannot be resolved at all (see setup.cfg).
TORCH_VERSION := 2.13.0
PROMPTSOURCE_VERSION := 0.2.3

# What the reproduce targets run on; empty means the command's own default.
BACKBONE ?=
DATA ?=
PRECISION ?=
INITIAL ?=
STORE ?=
WORKERS ?=
COMPILE ?=
# Processes that share the tests, and anything else for a target's command: make test ARGS="-k losses"
TEST_WORKERS ?= 2
ARGS ?=

# By the number of the paper's; some are made of another one's runs.
TABLES := $(addprefix reproduce-table,1 2 3 4 5 6 7 8 9 10 11)
FIGURES := reproduce-figure2 reproduce-figure3
GRID_OF_table11 := table2
GRID_OF_figure2 := table4
GRID_OF_figure3 := table1

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UNFINISHED := $(VENV)/.unfinished
LOG := setup.log
SOURCES := $(wildcard tfew_pl baselines experiments)

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PIP := $(BIN)/python -m pip --no-input --disable-pip-version-check
IMPORTS := import datasets, pytorch_lightning, sentencepiece, torch, transformers
PINNED := import json, sys; report = json.load(sys.stdin)["install"]; \
  pins = {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"].split("+")[0] \
    for item in report if "dir_info" not in item["download_info"]}; \
  print(*(f"{name}=={pins[name]}" for name in sorted(pins) \
    if not name.startswith(("nvidia-", "cuda-", "triton"))), sep="\n")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup reproduce-all $(TABLES) $(FIGURES) leaderboard notebooks test lint types check format constraints clean

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z0-9-]*:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# What is missing of each is trained and evaluated first (BACKBONE=, DATA=, PRECISION=, INITIAL=, STORE=,
# WORKERS= and COMPILE=1 hold for all).
reproduce-table1: ## what Table 1 compares: accuracy and cost of T-Few, zero-shot and in-context learning
reproduce-table2: ## RAFT, means over its datasets
reproduce-table3: ## the losses, in full fine-tuning
reproduce-table4: ## every method, with both losses
reproduce-table5: ## every method, with L_LN alone
reproduce-table6: ## every method, with L_UL alone
reproduce-table7: ## every method, without either
reproduce-table8: ## (IA)3 with and without pre-training
reproduce-table9: ## T-Few, zero-shot and in-context learning by dataset
reproduce-table10: ## ablations of T-Few
reproduce-table11: ## RAFT by dataset, of Table 2's runs
reproduce-figure2: ## accuracy against parameters, of Table 4's runs
reproduce-figure3: ## accuracy against inference FLOPs, of Table 1's runs

$(TABLES) $(FIGURES): reproduce-%: $(READY)
	@$(BIN)/tfew grid $(or $(GRID_OF_$*),$*) $(SELECTION) $(HOW)
	@$(BIN)/tfew $(subst table,table ,$(subst figure,figure ,$*)) $(SELECTION)

reproduce-all: $(READY) ## all tables and figures, and the page that says what they show
	@for grid in $$($(BIN)/tfew table all --unfinished $(SELECTION)); do \
	  $(BIN)/tfew grid $$grid $(SELECTION) $(HOW) || exit; \
	done
	@$(BIN)/tfew table all $(SELECTION)
	@$(BIN)/tfew claims $(SELECTION)

HOW = $(if $(WORKERS),--workers $(WORKERS)) $(if $(filter 1,$(COMPILE)),--compile)
SELECTION = $(if $(BACKBONE),--backbone $(BACKBONE)) $(if $(DATA),--data $(DATA)) \
  $(if $(PRECISION),--precision $(PRECISION)) $(if $(INITIAL),--initial $(INITIAL)) $(if $(STORE),--store $(STORE))

leaderboard: $(READY) ## build results/leaderboard/index.html from finished runs
	@$(BIN)/tfew leaderboard build

notebooks: $(READY) ## run the notebooks and store their outputs (ARGS=notebooks/01_table_1.ipynb for one)
	@$(BIN)/python notebooks/execute.py $(ARGS)

test: $(READY) ## run the tests (ARGS="-k losses" for some of them, TEST_WORKERS=2 processes)
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

lint: $(READY) ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## check types
	@$(BIN)/mypy $(SOURCES)

check: lint types test ## lint, types and tests, as CI runs them

format: $(READY) ## mend formatting and what else can be mended by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

setup: $(READY) ## build .venv (the other targets do it by themselves)
	@echo "$(VENV) is ready"

constraints: ## pin anew the newest versions that setup.cfg admits, in constraints.txt
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -c '$(SUPPORTED)' && $(PYTHON) -m venv "$$folder/venv" && \
	echo "torch==$(TORCH_VERSION)" > "$$folder/torch.txt" && \
	"$$folder/venv/bin/python" -m pip install --quiet --dry-run --ignore-installed --report "$$folder/report.json" \
	  -c "$$folder/torch.txt" ".[dev,mlflow,quantization,setfit,wandb]" && \
	{ echo "# What a set-up and the extras install, to the version. Made by 'make constraints' from setup.cfg and the"; \
	  echo "# Makefile's TORCH_VERSION; run it to move to newer versions, then 'make check', and commit the two together."; \
	  "$$folder/venv/bin/python" -c '$(PINNED)' < "$$folder/report.json"; } > "$$folder/constraints.txt" && \
	cp "$$folder/constraints.txt" constraints.txt && echo "constraints.txt: $$(grep -c == constraints.txt) versions"

clean: ## remove .venv, caches and build outputs; results stay
	rm -rf $(VENV) $(LOG) chromium.log build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache lightning_logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The set-up. READY is written last, so that a half-made .venv is never taken for a finished one. UNFINISHED stands
# while pip writes: where it is found, an earlier pip was killed midway, and everything is installed over what it left.
fail = { echo "      failed; the end of $(LOG):"; tail -n 15 $(LOG) | sed 's/^/      | /'; \
  echo "      the whole of it: $(CURDIR)/$(LOG)"; echo "      $(1)"; exit 1; } >&2

$(READY): setup.cfg pyproject.toml constraints.txt
	@rm -f $(READY)
	@: > $(LOG)
	@if $(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && $(PIP) --version >/dev/null 2>&1; then \
	  echo "[1/4] $(VENV) is there"; \
	else \
	  for python in "$(PYTHON)" $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11) none; do \
	    "$$python" -c '$(SUPPORTED)' 2>/dev/null && break; \
	  done; \
	  if [ "$$python" = none ]; then \
	    { echo "tfew_pl needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)."; \
	      echo "Install one and name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; } >&2; \
	  fi; \
	  echo "[1/4] creating $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) >>$(LOG) 2>&1 || $(call fail,On Debian and Ubuntu: apt install python3-venv); \
	fi
	@echo "[2/4] installing the libraries (two minutes when pip has them at hand)"
	@again=; if [ -e $(UNFINISHED) ]; then again=--ignore-installed; fi; touch $(UNFINISHED); start=$$(date +%s); \
	rm -rf *.egg-info && \
	{ $(PIP) install $$again -c constraints.txt setuptools && \
	  $(PIP) install $$again -c constraints.txt --no-build-isolation -e ".[dev]"; } >>$(LOG) 2>&1 || { \
	  if [ -z "$$again" ] && ! grep -q '^Installing collected' $(LOG); then rm -f $(UNFINISHED); fi; \
	  $(call fail,Mend that and run the same command again: it goes on from here.); }; \
	echo "      done in $$(($$(date +%s) - start)) s"; \
	echo "[3/4] installing the P3 templates (promptsource $(PROMPTSOURCE_VERSION))"; \
	$(PIP) install $$again --no-deps --ignore-requires-python promptsource==$(PROMPTSOURCE_VERSION) >>$(LOG) 2>&1 || \
	  $(call fail,Mend that and run the same command again: it goes on from here.)
	@echo "[4/4] checking that they load"
	@$(BIN)/python -c '$(IMPORTS)' >>$(LOG) 2>&1 || $(call fail,To start over: make clean)
	@rm -f $(UNFINISHED)
	@touch $(READY)
