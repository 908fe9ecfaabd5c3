# make demo   upscale a shipped photo and write demo.png
# make test   run the tests            (TESTS="tests/layers -k attention" for some of them)
# make test-all
#             run them on Python 3.11 and on the newest, which have a stack each
# make stacks see that both stacks give the same answers
# make test-onednn
#             run those of exports, engines and servers without TensorFlow's oneDNN where it is on, and with it elsewhere
# make lint   run the linter, and see that imports go one way and types are true
# make wheel-check
#             build sdist and wheel, and use the wheel in an empty environment outside of the checkout
# make release
#             see that this version may be released, build sdist and wheel into dist/ and use them on both stacks
# make docs   build the site into build/site/
# make gallery
#             write docs/results/, what the shipped weights make of the package's photos
# make clean  remove .venv and everything else that can be made again
#
# Each makes .venv first if need be; PYTHON=/path/to/python chooses its Python, 3.9 to 3.13. Those before 3.12 get
# TensorFlow 2.15, the others TensorFlow 2.21 with Keras 3, which STACK=keras3 gives 3.11 too, in .venv-keras3.

STACK :=
VENV := .venv$(if $(STACK),-$(STACK))
READY := $(VENV)/.ready
# Of `test-all` and `stacks`.
OLD_VENV := .venv-3.11
NEW_VENV := .venv-newest
OLD := constraints/tf2.15.txt
NEW := constraints/tf2.21.txt
BIN := $(VENV)/bin
IS_NEW = $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
TESTS ?= tests
JOBS ?= auto
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile

.PHONY: demo docs gallery test test-all stacks test-onednn lint wheel-check release clean venv

venv: $(READY)

# The theme warns of a MkDocs to come.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/site/index.html"

gallery: $(READY)
	$(BIN)/python -m scripts.gallery

demo: $(READY)
	@$(BIN)/python -m ssrvae_tf.demo

test: $(READY)
	$(PYTEST) $(TESTS)

test-all:
	python=$$(scripts/find_python 3.11) && $(MAKE) test VENV=$(OLD_VENV) PYTHON="$$python"
	python=$$(scripts/find_python 3.13 3.12) && $(MAKE) test VENV=$(NEW_VENV) PYTHON="$$python"

# Each TensorFlow has another oneDNN, which may add in another order.
stacks: export TF_ENABLE_ONEDNN_OPTS := 0
stacks:
	python=$$(scripts/find_python 3.11) && $(MAKE) venv VENV=$(OLD_VENV) PYTHON="$$python"
	python=$$(scripts/find_python 3.13 3.12) && $(MAKE) venv VENV=$(NEW_VENV) PYTHON="$$python"
	rm -rf build/stacks
	$(OLD_VENV)/bin/python scripts/stacks.py make build/stacks/old
	$(NEW_VENV)/bin/python scripts/stacks.py check build/stacks/old
	$(NEW_VENV)/bin/python scripts/stacks.py make build/stacks/new
	$(OLD_VENV)/bin/python scripts/stacks.py check build/stacks/new

# TensorFlow switches oneDNN on by itself on processors with one of these, and reads the variable when it is loaded.
test-onednn: $(READY)
	TF_ENABLE_ONEDNN_OPTS=$$(grep -Eq 'avx512_vnni|avx_vnni|amx_tile' /proc/cpuinfo && echo 0 || echo 1) \
		$(PYTEST) tests/exporting tests/inference tests/serving

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

wheel-check: $(READY)
	scripts/check_wheel $(BIN)/python $$($(IS_NEW) && echo $(NEW) || echo $(OLD))

# Uploads nothing: `twine upload dist/*` would.
release:
	python=$$(scripts/find_python) && "$$python" scripts/release.py
	python=$$(scripts/find_python 3.11) && $(MAKE) venv VENV=$(OLD_VENV) PYTHON="$$python"
	python=$$(scripts/find_python 3.13 3.12) && $(MAKE) venv VENV=$(NEW_VENV) PYTHON="$$python"
	rm -rf dist
	mkdir -p build
	$(OLD_VENV)/bin/python -m build --outdir dist >build/release.log 2>&1 || { tail -n 50 build/release.log; exit 1; }
	scripts/check_wheel $(OLD_VENV)/bin/python $(OLD) dist
	scripts/check_wheel $(NEW_VENV)/bin/python $(NEW) dist
	@echo "may be uploaded:" dist/*

# The stamp is written last, so an interrupted set-up starts anew.
$(READY): setup.cfg pyproject.toml $(OLD) $(NEW)
	@python=$$(PYTHON="$(PYTHON)" scripts/find_python) || exit 1; \
	echo "making $(VENV) with $$python: this fetches TensorFlow and takes a few minutes"; \
	"$$python" -m venv --clear $(VENV)
	@if $(IS_NEW); then \
		$(INSTALL) --constraint $(NEW) --editable '.[dev,notebooks]'; \
	elif [ "$(STACK)" = keras3 ]; then \
		$(INSTALL) --no-deps --requirement $(NEW) --editable .; \
	else \
		$(INSTALL) --constraint $(OLD) --editable '.[dev,notebooks]'; \
	fi
	@touch $@

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .ruff_cache demo.png
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
