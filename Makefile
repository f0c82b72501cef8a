# Every verb sets up what it needs in .venv first; a stamp per set of extras keeps that from happening twice.
#   make run     start examples/demo in the foreground
#   make test    all tests (TESTARGS="tests/kernel -x" for some of them)
#   make check   ruff, mypy, import-linter, generated pages current
#   make docs    write the generated pages of docs/ again
#   make bench   the fleet benchmarks, beside their peers (BENCHARGS="--row 4" for one row, "--part chat")
#   make tasks   five operator tasks under psv and its peers, for docs/reference/operator-tasks.md (TASKARGS="--quick")
#   make chaos         50 bots under load, kills and stops at random: ROUNDS=300, SEED=n plays one run again
#   make changing      the configuration is changed while psv's own processes are killed: ROUNDS=100, SEED=n
#   make availability  probes answered within a second while a process is killed each ten seconds: MINUTES=60
#   make soak          a kill a second and 1 MB/s of logs, nothing may grow: MINUTES=30
#   make inflight      50 messages on their way to each bot while something dies, peers beside in 25 of ROUNDS=100: SEED=n, PEER_ROUNDS=25
#   make fuzz          the loader of fleet.toml with mutated files, TIMES=50 times as many as in make test
# PYTHON=python3.12 chooses the interpreter of a new .venv; uv is used where it is on PATH.

VENV ?= .venv
BIN := $(VENV)/bin
TESTARGS ?= -n 4 --dist loadfile --no-loadscope-reorder --durations=25
BENCHARGS ?=
TASKARGS ?=
ROUNDS ?= 300
SEED ?=
MINUTES ?=
PEER_ROUNDS ?= 25
TIMES ?= 50
INSTALL = ./.ci/venv $(VENV)

.PHONY: run test check docs bench tasks chaos changing availability soak inflight fuzz clean

run: $(VENV)/.installed-run
	exec $(BIN)/psv -C examples/demo up

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(TESTARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m processsupervisor.config.reference --check docs/reference/fleet.md
	$(BIN)/python -m processsupervisor.cli.reference --check
	$(BIN)/python -m processsupervisor.kernel.statepage --check docs/reference/lifecycle.md

docs: $(VENV)/.installed-dev
	$(BIN)/python -m processsupervisor.config.reference > docs/reference/fleet.md
	$(BIN)/python -m processsupervisor.cli.reference
	$(BIN)/python -m processsupervisor.kernel.statepage > docs/reference/lifecycle.md

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(BENCHARGS)

tasks: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.tasks $(TASKARGS)

chaos changing availability soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos $@ --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

inflight: ROUNDS = 100
inflight: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos inflight --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) --peer-rounds $(PEER_ROUNDS)

fuzz: $(VENV)/.installed-dev
	PSV_FUZZ=$(TIMES) $(BIN)/python -m pytest -q --timeout 0 -p no:cacheprovider tests/config/test_fuzz.py

# A venv with the development set has the runtime too, so `make run` after `make test` installs nothing.
$(VENV)/.installed-run: pyproject.toml constraints.txt
	@if [ -e $(VENV)/.installed-dev ] && [ $(VENV)/.installed-dev -nt pyproject.toml ] && [ $(VENV)/.installed-dev -nt constraints.txt ]; \
	 then :; else $(INSTALL) .; fi
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	@$(INSTALL) '.[test,check]'
	@touch $@

clean:
	rm -rf $(VENV) .bench-venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
