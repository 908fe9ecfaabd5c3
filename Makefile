# make demo   upscale a shipped photo and write demo.png
# make test   run the tests            (TESTS="tests/layers -k attention" for some of them)
# make lint   run the linter, and see that imports go one way
# make clean  remove .venv and everything else that can be made again
#
# Each makes .venv first if need be; PYTHON=/path/to/python chooses its Python (3.9-3.11).

VENV := .venv
READY := $(VENV)/.ready
VERSIONS := constraints/tf2.15.txt
BIN := $(VENV)/bin
TESTS ?= tests
JOBS ?= auto

.PHONY: demo test lint clean venv

venv: $(READY)

demo: $(READY)
	@$(BIN)/python -m ssrvae_tf.demo

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile $(TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

# The stamp is written last, so an interrupted set-up starts anew.
$(READY): setup.cfg pyproject.toml $(VERSIONS)
	@python=$$(PYTHON="$(PYTHON)" scripts/find_python) || exit 1; \
	echo "making $(VENV) with $$python: this fetches TensorFlow and takes a few minutes"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(VERSIONS) \
		--editable '.[dev,notebooks]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache demo.png
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
