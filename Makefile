# What people type. `make help` lists it.
VENV ?= .venv
# The newer lane's wheels need glibc 2.39 (Debian 13, Ubuntu 24.04); the older one's run anywhere.
ifndef LANE
LANE := $(shell printf '2.39\n%s\n' "$$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)" \
	| sort -VC && echo tfx-1-21 || echo tfx-1-16)
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Without compiled bytecode, importing TFX takes a minute.
unexport PYTHONDONTWRITEBYTECODE
# Of another environment, if one is active; not of ours.
unexport PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast lint format bench faults torch audit compile image lock clean FORCE

help:  ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo "Variables: ARGS=... for run, test, test-fast, bench and faults; LANE=tfx-1-16 or tfx-1-21 (here: $(LANE))"

setup: $(READY)  ## set the environment up in .venv, from the lock of this machine's lane
	@echo "Ready: lane $(LANE) in $(VENV)"

# Set up again when the lock changed, the lane, the place of this folder, or Python itself went away.
ifneq ($(file <$(READY))$(if $(wildcard $(BIN)/python),, no python),$(LANE) $(CURDIR))
$(READY): FORCE
endif
$(READY): requirements/$(LANE).txt requirements/bootstrap.sh pyproject.toml
	@requirements/bootstrap.sh $(LANE) $(VENV)

requirements/$(LANE).txt:
	@requirements/bootstrap.sh $(LANE) $(VENV)

run: $(READY)  ## run the whole pipeline on the embedded sample (ARGS="--config my.yaml" for your own)
	@$(BIN)/deconvflow run $(ARGS)

test: lint  ## lint, then every test
	@mkdir -p build
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --junitxml=build/junit.xml $(ARGS)

test-fast: $(READY)  ## the tests that take milliseconds
	$(BIN)/python -m pytest -m "not slow and not journey" $(ARGS)

lint: $(READY)  ## formatting, style, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## measure, each number beside the bare work of the same run
	@$(BIN)/python tests/benchmarks/run.py --whole $(ARGS)

faults: $(READY)  ## break the machine under runs: kill disk together store mistakes fuzz scale large (ARGS="kill --times 5")
	@$(BIN)/python tests/faults/run.py $(ARGS)

torch:  ## set PyTorch up in .venv-torch, which bench then measures against (5 GB)
	@requirements/torch.sh .venv-torch

audit: $(READY)  ## list what the project is made of: SBOM, licences, known vulnerabilities (in build/)
	@requirements/audit.sh $(LANE) $(VENV) .venv-audit

compile: $(READY)  ## write kubeflow/pipeline.yaml, the sample compiled for a cluster (ARGS="--config my.yaml -o my-pipeline.yaml")
	@$(BIN)/deconvflow kubeflow compile -o kubeflow/pipeline.yaml $(ARGS)

image:  ## build the image for Kubeflow (IMAGE=registry/name:version, DEVICE=cpu or cuda)
	@kubeflow/image/build.sh $(or $(IMAGE),deconvflow:0.1.0) $(if $(filter command line environment,$(origin LANE)),$(LANE),tfx-1-16) $(or $(DEVICE),cpu)

lock:  ## write the locks anew from pyproject.toml (UPGRADE=1 takes newer versions too)
	@requirements/lock.sh $(if $(UPGRADE),--upgrade)

clean:  ## remove what the other targets made, but for the workspace
	rm -rf .tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf "$(VENV)"
	find . -name __pycache__ -type d -not -path './workspace/*' -prune -exec rm -rf {} +
