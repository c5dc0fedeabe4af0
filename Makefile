# Everything a person types: `make tune` and `make test` need only git, make and a Python >= 3.12.

VENV := .venv
BIN := $(VENV)/bin
# Touched when the environment holds what pyproject.toml and constraints.txt say.
STAMP := $(VENV)/.installed

.PHONY: help env tune tune-gencast test lint types check asv asv-check asv-af3 asv-rest matrix \
	matrix-environments docs reports picture clean

help:
	@echo "make tune   tune AlphaFold 3 on the shipped ubiquitin (20 minutes, installation included)"
	@echo "make tune-gencast  the same for GenCast at 2 degrees"
	@echo "make test   run the tests"
	@echo "make check  lint, types and tests"
	@echo "make asv    check the benchmarks and run each of them once"
	@echo "make matrix run the small tests next to the oldest and the newest jaxlib"
	@echo "make docs   build the documentation in perfkit-results/site and check its links"
	@echo "make reports  build the pages of the studies in reports/ from their data"
	@echo "make env    only create the environment"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/find_python.sh
	@python=$$(sh scripts/find_python.sh) || exit 2; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
		echo "creating $(VENV) with $$python"; rm -rf $(VENV); "$$python" -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[af3-colabfold,gencast,data,plan,profile,search,slurm,docs,dev]'
	@touch $(STAMP)

tune-gencast: env
	$(BIN)/perfkit tune --model gencast --resolution 2 --mesh 3

tune: env
	$(BIN)/perfkit tune --model af3

# Tests that measure run alone; the others run two at a time, file by file, long ones first.
test: env
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: env
	$(BIN)/mypy

check: lint types test

# The results of a quick run are not kept, so that two halves can run side by side.
asv: env
	$(MAKE) --jobs 2 --output-sync=target asv-af3 asv-rest

# asv writes the machine's file in the home folder anew whenever it starts, and reads it at the same
# time in the other half, so that each half has a home of its own. Caches stay where they are.
define quick
	mkdir -p .asv/home-$(1)
	cp $(HOME)/.asv-machine.json .asv/home-$(1)/
	XDG_CACHE_HOME=$${XDG_CACHE_HOME:-$(HOME)/.cache} GIT_CONFIG_GLOBAL=$(HOME)/.gitconfig \
	HOME=$(CURDIR)/.asv/home-$(1) PERFKIT_BENCH_PROCESSES=1 PERFKIT_BENCH_PASSES=1 \
	PERFKIT_BENCH_SIZES=1 PERFKIT_BENCH_RECORDS=1000 \
	$(BIN)/asv run --quick --show-stderr --environment existing:$(BIN)/python $(2)
endef

# A new machine is asked for its name by asv; a name that was given before is kept.
asv-check: env
	test -f $(HOME)/.asv-machine.json || $(BIN)/asv machine --yes
	$(BIN)/asv check --environment existing:$(BIN)/python

asv-af3: asv-check
	$(call quick,af3,--bench '^af3\.' --bench '^itself\.TrialOverhead')

asv-rest: asv-check
	$(call quick,rest,--bench '^(?!af3\.|itself\.TrialOverhead)')

matrix: env
	$(BIN)/python -m scripts.matrix

# Only builds what `make matrix` would build first.
matrix-environments: env
	$(BIN)/python -m scripts.matrix --build

# A warning, such as a broken link, is an error. The pages need no network, when built or when read.
docs: env
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo "perfkit-results/site/index.html"

reports: env
	$(BIN)/python -m scripts.build_reports

# The picture of a page in the README; needs Chromium or Google Chrome.
picture: env
	$(BIN)/python -m scripts.build_reports --picture

clean:
	rm -rf $(VENV) perfkit-results .asv
