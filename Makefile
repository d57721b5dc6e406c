# make dance: writes dance.mp4, 16 seconds of a new dance, from a fresh clone.
# make test:  installs everything and runs the whole test suite, ruff and mypy.
# make quick: the same without the tests that train or convert networks.
# make fuzz:  spoils files 2,000 times each and kills commands 50 times, an hour; after changes to
#             what reads or writes files.
# make bench: measures what everything costs, ten minutes, and writes benchmarks/RESULTS.md.
# make clean: removes what the other two installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SECONDS := 16

.PHONY: dance test networks others quick fuzz bench clean
.DELETE_ON_ERROR:

dance: $(VENV)/.light
	$(BIN)/python scripts/generate_video.py --seconds $(SECONDS) --out dance.mp4

test: $(VENV)/.everything
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	@$(MAKE) --no-print-directory --jobs 2 $(GROUPED) networks others

# The two halves of the tests; see tests/conftest.py. Where make can, the output of one is shown
# whole after the other's.
GROUPED := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

networks: $(VENV)/.everything
	$(BIN)/python -m pytest -q --networks only

others: $(VENV)/.everything
	$(BIN)/python -m pytest -q --networks without

quick: $(VENV)/.everything
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q -n 2 --networks without -m "not slow"

fuzz: $(VENV)/.everything
	DANCENET_FUZZ=2000 DANCENET_KILLS=50 $(BIN)/python -m pytest -q -rP -k "fuzz or spoilt or killed"

bench: $(VENV)/.everything
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist dancenet.egg-info .mypy_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "dancenet needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`." \
	    "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; install its venv package" \
	    "(on Debian and Ubuntu: apt install python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# The stamps stand for finished installations: a second run installs nothing.
$(VENV)/.light: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing the light dependencies into $(VENV): a minute or two, 500 MB on disk."
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.everything: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing everything into $(VENV): some minutes, 3 GB on disk."
	@$(PIP) install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.light
