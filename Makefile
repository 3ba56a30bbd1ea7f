# Two commands on a fresh machine: `make demo` and `make test`. Everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

# Packages are compiled when first imported, and once: a variable that forbids it would cost seconds at every start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test check real gpu docs clean

demo: .venv/installed
	rm -rf .blasphemer_finetuning/demo
	$(BIN)/blasphemer demo --n-trials 12 --fine-tune-dataset test-knowledge/saltmere \
		--exam-file test-knowledge/saltmere-exam.jsonl --finetuning-output-dir .blasphemer_finetuning/demo --yes

test: .venv/tools
	$(BIN)/pytest

check: .venv/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

real: .venv/tools
	$(BIN)/python -m benchmarks.real --row strong --row rules

# What is said of GPUs is measured by this: an 8B shape in 16 and in 4 bits, and the run on a page. A quarter of an hour.
gpu: .venv/tools
	$(BIN)/python -m benchmarks.train_step --shape 8B --items 2048 --row-tokens 4096 \
		--way ours --way "ours 4-bit" --way trl
	$(BIN)/python -m benchmarks.real --row strong

docs: .venv/installed
	$(BIN)/python tools/generate.py

clean:
	rm -rf .venv .blasphemer_finetuning

# torch first and by its exact version: pip then takes a CPU build where one is at hand.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/tools: .venv/installed
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
