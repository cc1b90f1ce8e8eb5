# chainer_kfac: `make help` lists the targets. Each one is a thin call of the command chainer-kfac,
# and sets up .venv first where that is missing or out of date.
#
# Without make, in a virtual environment of your own (Chainer's source package is built with a
# setuptools older than 81, which pip's isolated builds do not use):
#   pip install 'setuptools<81' wheel && pip install --no-build-isolation .

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# make install PYTHON=python3.12 VENV=my-venv EXTRAS=dev,cuda13
VENV   ?= .venv
EXTRAS ?= dev,mpi,search
PYTHON ?= $(shell .ci/find-python 3.13 3.12 3.11)

BIN := $(VENV)/bin
KFAC := $(BIN)/chainer-kfac
# One stamp for each set of extras: asking for another set installs it.
empty :=
comma := ,
INSTALLED := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

# Two test processes on two cores; MPI tests start processes of their own, which wait for them.
TEST_JOBS ?= 2
TEST_ARGS ?=

# What to run: make table1 PROFILE=paper SEEDS=3 OPTIMIZER=kfac BATCH="512 2048" JOBS=2
# HPARAMS=tuned reads experiments/tuned.yaml; FROM=results shows the committed results.
PROFILE :=
DATASET :=
SEEDS :=
OPTIMIZER :=
BATCH :=
JOBS :=
MPI :=
HPARAMS :=
FROM :=
TRIALS :=
MONGO :=
OUT :=
# For a cluster: make submit SCHEDULER=slurm BATCH="128 512 2048" OPTIMIZER=kfac GPUS=1
SCHEDULER :=
NODES :=
GPUS :=
# On a machine with a GPU: make gpu-check WHEELS=wheels/gpu DATA=cifar10.tar.xz MINUTES=9
WHEELS :=
DATA :=
MINUTES :=
STEPS :=
HAVE :=
# $(call flag,name,value): --name value, or nothing where the value is empty
flag = $(if $(strip $(2)),--$(1) $(2))

.PHONY: help install test lint bench doctor cupy-audit gpu-wheels gpu-check table1 study figure2 notebooks search submit

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED) ## make .venv with everything in it (variables: PYTHON, VENV, EXTRAS)

$(INSTALLED): setup.py Makefile
	@test -n '$(PYTHON)' || { echo 'set PYTHON to a Python 3.11, 3.12 or 3.13' >&2; exit 2; }
	@echo 'installing into $(VENV) with $(PYTHON)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip 'setuptools<81' wheel
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $@

test: $(INSTALLED) ## run the tests (TEST_ARGS='-k name')
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) $(TEST_ARGS)

lint: $(INSTALLED) ## ruff, and the order of the rooms
	$(BIN)/ruff check
	$(BIN)/lint-imports

bench: $(INSTALLED) ## time training steps by phase, beside Chainer and PyTorch (BATCH OUT)
	$(KFAC) bench $(call flag,batch,$(BATCH)) $(call flag,out,$(OUT))

doctor: $(INSTALLED) ## say what this machine can do
	$(KFAC) doctor

cupy-audit: ## check Chainer's GPU code against the current CuPy (no GPU needed, 2 GB, 3 minutes)
	$(MAKE) --no-print-directory install VENV=.venv-cupy EXTRAS=cuda13,dev,mpi
	.venv-cupy/bin/python -m pip install --quiet nvidia-nccl-cu13
	.venv-cupy/bin/python -m chainer_kfac.compat.audit --write docs/compat.md
	.venv-cupy/bin/python -m pytest -q tests/compat/test_compat_kernels.py

gpu-wheels: $(INSTALLED) ## wheels for a machine with a GPU and no network (DATA HAVE OUT)
	$(BIN)/python benchmarks/gpu_wheels.py $(call flag,data,$(DATA)) $(call flag,have,$(HAVE)) \
	    $(call flag,out,$(OUT))

# Not after "install": it runs where nothing can be downloaded.
gpu-check: ## prove and time the GPU path, most important steps first (WHEELS DATA MINUTES STEPS OUT)
	$(or $(wildcard $(BIN)/python),python3) benchmarks/gpu_check.py $(call flag,wheels,$(WHEELS)) \
	    $(call flag,data,$(DATA)) $(call flag,minutes,$(MINUTES)) $(call flag,steps,$(STEPS)) \
	    $(call flag,out,$(OUT))

# What the targets that train a sweep take.
SWEEP = $(call flag,profile,$(PROFILE)) $(call flag,dataset,$(DATASET)) \
    $(call flag,seeds,$(SEEDS)) $(call flag,optimizer,$(OPTIMIZER)) $(call flag,batch,$(BATCH)) \
    $(call flag,jobs,$(JOBS)) $(call flag,mpi,$(MPI)) $(call flag,hparams,$(HPARAMS)) $(call flag,from,$(FROM))

table1: $(INSTALLED) ## the nine cells of Table 1 (PROFILE DATASET SEEDS OPTIMIZER BATCH JOBS MPI HPARAMS FROM)
	$(KFAC) table1 $(SWEEP)

study: $(INSTALLED) ## each optimizer at batch 128, 256, ..., 2048 (variables as of table1)
	$(KFAC) study $(SWEEP)

figure2: $(INSTALLED) ## draw Figure 2 and the study from the runs that are there (PROFILE DATASET HPARAMS FROM)
	$(KFAC) figure2 $(call flag,profile,$(PROFILE)) $(call flag,dataset,$(DATASET)) \
	    $(call flag,hparams,$(HPARAMS)) $(call flag,from,$(FROM))

notebooks: $(INSTALLED) ## execute the notebooks on the committed results
	$(BIN)/jupyter execute --inplace --NotebookClient.record_timing=False notebooks/*.ipynb

search: $(INSTALLED) ## search hyperparameters (OPTIMIZER BATCH TRIALS PROFILE DATASET JOBS MONGO)
	$(KFAC) search $(call flag,optimizer,$(OPTIMIZER)) $(call flag,batch,$(BATCH)) \
	    $(call flag,trials,$(TRIALS)) $(call flag,profile,$(PROFILE)) $(call flag,dataset,$(DATASET)) \
	    $(call flag,workers,$(JOBS)) $(if $(strip $(MONGO)),--mongo '$(MONGO)')

submit: $(INSTALLED) ## hand table1 to a scheduler (SCHEDULER NODES GPUS, and the variables of table1)
	$(KFAC) submit table1 $(call flag,scheduler,$(SCHEDULER)) $(call flag,nodes,$(NODES)) \
	    $(call flag,gpus-per-node,$(GPUS)) $(call flag,profile,$(PROFILE)) \
	    $(call flag,dataset,$(DATASET)) $(call flag,seeds,$(SEEDS)) \
	    $(call flag,optimizer,$(OPTIMIZER)) $(call flag,batch,$(BATCH)) $(call flag,hparams,$(HPARAMS))
