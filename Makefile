# make demo   upscale a shipped photo and write demo.png
# make test   run the tests            (TESTS="tests/layers -k attention" for some of them)
# make test-onednn
#             run those of exports, engines and servers with TensorFlow's oneDNN and without
# make lint   run the linter, and see that imports go one way and types are true
# make wheel-check
#             build sdist and wheel, and use the wheel in an empty environment outside of the checkout
# make clean  remove .venv and everything else that can be made again
#
# Each makes .venv first if need be; PYTHON=/path/to/python chooses its Python (3.9-3.11).

VENV := .venv
READY := $(VENV)/.ready
VERSIONS := constraints/tf2.15.txt
BIN := $(VENV)/bin
TESTS ?= tests
JOBS ?= auto
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile

.PHONY: demo test test-onednn lint wheel-check clean venv

venv: $(READY)

demo: $(READY)
	@$(BIN)/python -m ssrvae_tf.demo

test: $(READY)
	$(PYTEST) $(TESTS)

# TensorFlow switches oneDNN on by itself on some processors, and reads the variable when it is loaded.
test-onednn: $(READY)
	TF_ENABLE_ONEDNN_OPTS=0 $(PYTEST) tests/exporting tests/inference tests/serving
	TF_ENABLE_ONEDNN_OPTS=1 $(PYTEST) tests/exporting tests/inference tests/serving

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

wheel-check: $(READY)
	scripts/check_wheel $(BIN)/python $(VERSIONS)

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
