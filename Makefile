# Everything that the notebooks and tests need, set up without root. `make` lists the targets.
# A step that is done leaves a stamp and is not done again until what it depends on changes.

include mnist_support/scripts/versions.env
scripts := mnist_support/scripts
kernel := mnist_support/kernel

# The Python environment: the one that is active, else .venv. A virtual environment that was
# activated inside a conda environment goes first.
PYTHON ?= python3
export PYTHON_ENV := $(or $(VIRTUAL_ENV),$(CONDA_PREFIX),$(CURDIR)/.venv)
# To make, a name with a space is two: its own name of such an environment is a relative one.
environment := $(if $(subst $(CURDIR)/.venv,,$(PYTHON_ENV)),$(PYTHON_ENV),.venv)
ifneq ($(word 2,$(environment)),)
environment := $(shell mkdir -p .tools && ln -sfn '$(PYTHON_ENV)' .tools/environment).tools/environment
endif
stamps := $(environment)/.mnist-notebooks

# What a step has made, or found on the machine, may be gone since: the step is done again then.
ifneq ($(filter-out help clean distclean spark-down,$(or $(MAKECMDGOALS),help)),)
$(shell PYTHON_ENV='$(PYTHON_ENV)' $(scripts)/forget_gone.sh >&2)
endif

# cpu or cuda; once installed, it stays what it was.
TORCH ?= $(or $(patsubst $(stamps)/torch-%,%,$(firstword $(wildcard $(stamps)/torch-*))),cpu)

# Where upload writes to.
TO ?=

# How often bench-cells runs each notebook on each kernel; 3 times if it says nothing.
ROUNDS ?=

# The rows that bench measures; all of them if it names none.
ROWS ?=

# The tests that test-spark runs, by parts of their names; all of them if it names none.
TESTS ?=

# Tests on Spark that repeat, case by case, what others show once: test-spark alone runs them.
spark_matrices := every_network_of_the_benchmark_is_trained_on_spark \
    targets_of_every_kind_are_trained_on_spark sparktorchs_twelve_cases_pass_on_spark \
    a_worker_killed_at_ten_moments

# Absolute paths are written down in some steps: they are done again where a path has changed.
place := $(shell printf '%s' '$(CURDIR) $(PYTHON_ENV)' | cksum | cut -d' ' -f1)

# The node of the Python environment, if the machine has none.
export PATH := $(PATH):$(PYTHON_ENV)/bin
export JUPYTER_PATH := $(CURDIR)/.tools/share/jupyter

# Settings of the user's that would compile every crate once more, or put it elsewhere.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_BUILD_DIR CARGO_BUILD_TARGET

tools_checked := target/stamps/tools-$(place)
python := $(stamps)/python
torch := $(stamps)/torch-$(TORCH)
libtorch := target/stamps/libtorch-$(TORCH)-$(place)
protoc := target/stamps/protoc-$(PROTOC_VERSION)-$(place)
clang_format := $(stamps)/clang-format-$(CLANG_FORMAT_VERSION)
azurite := .tools/azurite-$(AZURITE_VERSION)
evcxr := .tools/evcxr-$(EVCXR_VERSION)
kernelspec := .tools/kernel-$(place)
# SPARK=4.0 on the command line: an older Spark, which has an environment of its own.
ifneq ($(origin SPARK),command line)
SPARK :=
endif
export MNIST_SPARK := $(SPARK)
older := $(filter-out $(basename $(SPARK_VERSION)),$(SPARK))
ifneq ($(older),)
SPARK_VERSION := $(or $(SPARK_$(subst .,_,$(older))_VERSION),$(error SPARK=$(SPARK): one of 3.5, 4.0, 4.1 and 4.2, or nothing for $(SPARK_VERSION)))
endif
spark_folder := spark$(addprefix _,$(older))
spark := .tools/$(spark_folder)-$(SPARK_VERSION)-$(place)
# SPARK_PYTHON=python3.9 on the command line: another Python for the executors than the server's.
ifneq ($(origin SPARK_PYTHON),command line)
SPARK_PYTHON :=
endif
export MNIST_SPARK_PYTHON :=
ifneq ($(SPARK_PYTHON),)
spark_python := $(shell '$(SPARK_PYTHON)' -c 'import sys; print("%d.%d" % sys.version_info[:2])')
spark_python := .tools/$(spark_folder)_python-$(or $(spark_python),$(error SPARK_PYTHON=$(SPARK_PYTHON) is no Python that runs))
MNIST_SPARK_PYTHON := $(CURDIR)/$(spark_python)/bin/python
spark_python := $(spark_python)/.complete
endif
browser := .tools/browser-$(PLAYWRIGHT_VERSION)-$(place)
peers := .tools/peers-$(place)
lake := data/lake/.complete
# What cargo needs to compile the crate.
native := $(libtorch) $(protoc)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One step after the other, but for side-by-side.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
.PHONY: help setup data lint test test-spark test-pytorch bench bench-cells notebooks run-notebooks lab upload spark-up spark-down clean distclean warm crate rust-sources side-by-side node

help: ## list the targets
	@echo 'Targets (each does the set-up that it needs; run-notebooks from nothing 13 to 19 minutes on 2 cores):'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done
	@echo 'Variables: TORCH=cuda (PyTorch with CUDA), PYTHON=python3.12, CXX=g++, MNIST_DIR=a folder with four IDX files (empty: MNIST again), SPARK_REMOTE=sc://HOST:PORT (a Spark cluster to run on), KERNEL_PLAIN=1 (stock evcxr as the Rust kernel)'

setup: warm $(azurite) ## install and compile everything
	@echo '==> Set up: Python environment $(PYTHON_ENV), libtorch for $(TORCH)'

data: $(lake) ## download MNIST, check it and lay out data/lake; MNIST_DIR=folder for your own images

lint: $(native) $(clang_format) ## rustfmt, clang-format, and clippy and rustdoc with warnings as errors
	cargo fmt --all --check
	cargo fmt --manifest-path mnist_support/notebook/Cargo.toml --check
	find mnist_support/native -name '*.h' -o -name '*.cpp' | \
	    xargs '$(PYTHON_ENV)/bin/clang-format' --dry-run -Werror
	@echo '==> Clippy (the first time about 6 minutes)'
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps

test: $(native) $(azurite) $(lake) ## unit tests, doc tests, integration tests; on Spark without the long ones of test-spark
	@if $(scripts)/java.sh >/dev/null; then $(MAKE) --no-print-directory $(spark); \
	    else echo '==> Left out: the tests that need Spark'; fi
	@if $(scripts)/chromium.sh >/dev/null 2>&1; then $(MAKE) --no-print-directory warm $(browser); \
	    else echo '==> Left out: the notebooks in a real browser; install Chromium (on Debian the package chromium)'; fi
	@echo '==> Compiling and running the tests (the first time 10 to 15 minutes)'
	env -u SPARK_REMOTE cargo test --quiet --workspace --no-fail-fast -- \
	    $(addprefix --skip ,$(spark_matrices))

# Spark 3.5 has no Connect server that can be installed: the test of it runs a session within PySpark.
test-spark: $(native) $(lake) $(spark) $(spark_python) ## the tests on Spark alone; SPARK=4.0 for an older one, SPARK_PYTHON=python3.9 for other executors, TESTS="name name" for some
	env -u SPARK_REMOTE cargo test --quiet --package mnist_support \
	    $(if $(filter 3.5,$(older)),--test spark_3_5,--test spark_client --test spark_engine) -- $(TESTS)

test-pytorch: $(native) $(peers) ## what PyTorch in Python makes of the files written here (about a minute)
	MNIST_PYTORCH='$(CURDIR)/.tools/peers/bin/python' \
	    cargo test --quiet --package mnist_support --test pytorch -- --ignored

bench: $(native) $(lake) $(peers) ## compare with PyTorch, pandas and SparkTorch; ROWS="train csv" for some rows
	@echo '==> Compiling the benchmark (about 1 minute), then measuring (all rows: about 13 minutes)'
	@java=$$($(scripts)/java.sh) && export JAVA_HOME=$$java || echo '==> The row sparktorch cannot be measured'; \
	    env -u SPARK_REMOTE cargo bench --quiet --profile dev --package mnist_support --bench versus -- $(ROWS)

bench-cells: warm $(lake) ## compare how long cells keep one waiting with evcxr as it comes (about 10 minutes)
	@'$(PYTHON_ENV)/bin/python' $(kernel)/bench/bench.py '$(CURDIR)' $(ROUNDS)

run-notebooks: warm $(lake) ## run the notebooks, executed copies in target/notebooks
	@$(scripts)/run_notebooks.sh copies

notebooks: warm $(lake) ## run the notebooks in place, so that they carry their outputs
	@$(scripts)/run_notebooks.sh in-place

lab: warm $(lake) ## JupyterLab with the Rust kernel
	cd notebooks && '$(PYTHON_ENV)/bin/python' -m jupyterlab

upload: $(lake) ## fill a container with the lake, TO=abfss://CONTAINER@ACCOUNT.dfs.core.windows.net
	@$(if $(TO),,$(error say where to: make upload TO=abfss://CONTAINER@ACCOUNT.dfs.core.windows.net))
	cargo run --quiet --package mnist_support --bin mnist-lake -- upload --from data/lake/torchtut --to '$(TO)' --create

spark-up: $(spark) $(libtorch) ## start a Spark cluster on this machine: a master, two workers, a Connect server
	@$(scripts)/spark_up.sh

spark-down: ## stop it
	@$(scripts)/spark_down.sh

clean: ## remove what was built (target/)
	@$(scripts)/spark_down.sh >/dev/null
	rm -rf target
	@echo '==> Kept: data/, .tools/, .venv/ (make distclean removes them too)'

distclean: clean ## remove everything that make has made
	rm -rf data .tools .venv .cargo/libtorch.toml .cargo/protoc.toml
	$(if $(filter .venv,$(environment)),,@echo '==> Kept: the environment $(PYTHON_ENV)')

# The steps.

$(tools_checked): $(scripts)/check_tools.sh Cargo.toml
	@$< '$(PYTHON)'
	@mkdir -p $(@D) && touch $@

# Looked for each time: another toolchain, or a newer one, may have come since.
rust-sources: | $(tools_checked)
	@$(kernel)/rust_sources.sh

$(python): requirements.txt | $(tools_checked)
	@$(scripts)/python_environment.sh '$(PYTHON)'
	@mkdir -p $(@D) && touch $@

$(torch): $(scripts)/versions.env | $(python)
	@$(scripts)/torch.sh $(TORCH)
	@rm -f $(stamps)/torch-* && touch $@

$(libtorch): $(torch) $(scripts)/libtorch.sh
	@$(scripts)/libtorch.sh $(TORCH)
	@mkdir -p $(@D) && rm -f $(@D)/libtorch-* && touch $@

$(protoc): $(scripts)/protoc.sh | $(python)
	@$(scripts)/protoc.sh
	@mkdir -p $(@D) && rm -f $(@D)/protoc-* && touch $@

# Looked for each time: the machine's own may have come or gone.
node: | $(python)
	@$(scripts)/node.sh

$(clang_format): $(scripts)/clang_format.sh | $(python)
	@$<
	@rm -f $(stamps)/clang-format-* && touch $@

$(azurite): | node
	@$(scripts)/azurite.sh
	@touch $@

$(evcxr): | rust-sources
	@$(kernel)/evcxr.sh
	@touch $@

$(kernelspec): $(evcxr) $(kernel)/install.sh | $(python)
	@$(kernel)/install.sh
	@rm -f .tools/kernel-* && touch $@

# Spark without Java is of no use, and large: java.sh says so first.
$(spark): $(scripts)/spark.sh | $(python)
	@$(scripts)/java.sh >/dev/null
	@$(scripts)/spark.sh
	@rm -f .tools/$(spark_folder)-* && touch $@

ifneq ($(spark_python),)
$(spark_python): $(scripts)/spark_python.sh $(scripts)/versions.env | $(python)
	@$< '$(SPARK_PYTHON)' '$(CURDIR)/$(@D)'
	@touch $@
endif

$(browser): $(scripts)/browser.sh | $(python)
	@$(scripts)/browser.sh
	@rm -f .tools/browser-* && touch $@

$(peers): $(scripts)/peers.sh $(scripts)/versions.env | $(python)
	@$(scripts)/peers.sh
	@rm -f .tools/peers-* && touch $@

# Cargo knows best whether the crate is up to date: it is asked each time.
crate: $(native)
	@$(kernel)/warm.sh
	$(if $(SPARK_REMOTE),@$(scripts)/worker.sh)

# The kernel is compiled while libtorch comes and while the crate is compiled: each alone leaves a
# core idle at times.
side-by-side: | $(tools_checked)
	@$(MAKE) --no-print-directory --jobs=2 SIDE_BY_SIDE=1 $(evcxr) $(kernelspec) crate

warm: $(if $(wildcard $(evcxr)),,side-by-side) rust-sources $(kernelspec) crate

# MNIST_DIR, and the files in it, may be others than the last time: the script is asked each time.
.PHONY: $(lake)
$(lake): | crate node
	@$(scripts)/mnist_data.sh
