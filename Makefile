# Two commands on a fresh machine: `make serve` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
SHELL := /bin/bash

# The model store, metrics files and BentoML's own state stay in this folder: one home for each running server.
export BENTOML_HOME ?= $(CURDIR)/.bentoml
export BENTOML_DO_NOT_TRACK ?= True

IMAGE ?= media-classifier:latest
# The image's requirements, without ending: those of the CPU engine, or with VARIANT=gpu those of the native one as well.
IMAGE_REQUIREMENTS := $(if $(filter gpu,$(VARIANT)),deploy/requirements-gpu,requirements-serving)

SERVING := $(VENV)/.serving
IMAGING := $(VENV)/.imaging
DEVELOPMENT := $(VENV)/.development
MUTANTS := $(VENV)/.mutants
PEERS := benchmarks/.venv
NODE_MODULES := clients/typescript/node_modules/.package-lock.json

.PHONY: help serve save fetch test test-fast coverage mutants lint types format evaluate figures bench bench-engines bench-quick sizing notebooks notebooks-write openapi clients build \
	deployments screenshots lock image up down test-containers container-figures clean

COVERING := --cov --cov-report=
LEAST_COVERED := 95  # per cent of the lines and branches of what is served, by unit and contract tests
SERVED_TESTS = -m "not parallel and not alone and not containers" -n $(JOBS) --dist loadgroup --no-loadscope-reorder
MEASURED = COVERAGE_RCFILE=$(CURDIR)/tests/coverage_served.toml $(BIN)/coverage
# What `make mutants` changes, as mutmut names it.
MUTATED := \
	'media.addresses*' \
	'scheduling.policy*' \
	'scheduling.queue*' \
	'scheduling.throughput*' \
	'storage.cache.xǁSingleFlight*' \
	'storage.redis_client.xǁCircuitBreaker*'

help:  ## Shows this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

serve: $(SERVING)  ## Sets everything up and serves (PROFILE=published serves imported checkpoints)
	exec $(BIN)/python -m cli serve

save: $(SERVING)  ## Puts the bundled models into the model store
	$(BIN)/python -m models.save

fetch: $(if $(MODEL),$(DEVELOPMENT))  ## Imports a published checkpoint for PROFILE=published: MODEL=voice_gender FROM=owner/name
	@test -n "$(MODEL)" || { echo 'error: say which model: make fetch MODEL=voice_gender (FROM=owner/name or a folder)' >&2; exit 2; }
	$(BIN)/python -m training.fetch $(MODEL) $(if $(FROM),--from $(FROM)) $(FETCH_ARGS)

test: $(DEVELOPMENT) save  ## Sets everything up and runs the tests, in two processes at a time (JOBS=1: one)
ifdef PYTEST_ARGS
	$(BIN)/python -m pytest -rs $(PYTEST_ARGS)
else
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -m parallel -n 2 --dist loadfile --no-loadscope-reorder \
	  $(if $(COVERAGE),$(COVERING)) tests/unit
ifdef COVERAGE
	$(MEASURED) run -m pytest -rs $(SERVED_TESTS) tests/contract
	$(MEASURED) combine --quiet --append
	$(MEASURED) report --fail-under=$(LEAST_COVERED)
endif
	$(BIN)/python -m pytest -rs $(SERVED_TESTS) $(if $(COVERAGE),--ignore=tests/contract)
	$(BIN)/python -m pytest -rs -m alone tests/unit
endif

test-fast: $(DEVELOPMENT)  ## Runs the tests that need no server and take little time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -m "parallel and not slow" -n 2 --dist loadfile tests/unit

coverage: $(DEVELOPMENT) save  ## Shows what the unit tests leave out (SERVED=1: also what no served process runs; TESTS: of some; MORE=1: on top)
ifdef SERVED
	$(if $(MORE),,rm -f .coverage .coverage.*)
	$(if $(TESTS),,OMP_NUM_THREADS=1 $(MEASURED) run -m pytest -m parallel -n $(JOBS) --dist loadfile tests/unit)
	$(MEASURED) run -m pytest $(or $(TESTS),tests/contract tests/serving)
	$(MEASURED) combine --quiet $(if $(MORE),--append)
	$(MEASURED) report --show-missing
else
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -m parallel -n 2 --dist loadfile $(COVERING) --cov-report=term-missing tests/unit
endif

mutants: $(MUTANTS)  ## Changes the parts that decide and share one place after the other; lists what no test notices (NAMES: some of them)
	CI=1 OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children 1 $(or $(NAMES),$(MUTATED))
	$(BIN)/mutmut results --all true | $(BIN)/python -m tests.support.mutants

lint: $(DEVELOPMENT)  ## Checks style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(DEVELOPMENT)  ## Checks types
	$(BIN)/mypy

format: $(DEVELOPMENT)  ## Formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

evaluate: $(DEVELOPMENT)  ## Measures every model on the validation data, fills README and cards (DATASETS_DIR)
	$(BIN)/python -m training.evaluate

notebooks: $(DEVELOPMENT)  ## Runs the notebooks in a short form, so that they cannot rot (DATASETS_DIR)
	$(BIN)/python -m training.study.run

notebooks-write: $(DEVELOPMENT)  ## Runs them with the bundled weights on all validation data, and keeps the outputs
	$(BIN)/python -m training.study.run --write

figures: $(DEVELOPMENT)  ## Fails where the committed weights are not as good as README and cards say (DATASETS_DIR)
	$(BIN)/python -m training.evaluate --check

bench: $(PEERS)/.all  ## Measures bundle, peers and machine, fills README and benchmarks/ (50 minutes; ONLY="voices stages": parts)
	$(PEERS)/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-engines: $(PEERS)/.engines  ## Compares engines on each network, fills benchmarks/engines.md (ONLY="voice_gender": some)
	$(PEERS)/bin/python -m benchmarks.engines $(ONLY)

bench-quick: $(PEERS)/.some  ## A short form of it, so that it cannot rot
	$(PEERS)/bin/python -m benchmarks --quick

sizing: $(DEVELOPMENT) save  ## Measures what a request of each question costs, fills docs/scaling.md
	$(BIN)/python -m benchmarks.sizing

screenshots: $(DEVELOPMENT) save  ## Draws the pictures of the playground in docs/screenshots
	mkdir -p docs/screenshots
	SCREENSHOTS=$(CURDIR)/docs/screenshots $(BIN)/python -m pytest tests/browser/test_screenshots.py

openapi: $(SERVING)  ## Writes the OpenAPI document to openapi.json
	$(BIN)/python -m api.app >$(VENV)/openapi.json
	mv $(VENV)/openapi.json openapi.json

clients: $(DEVELOPMENT) $(NODE_MODULES)  ## Lints openapi.json and makes the Python and TypeScript clients from it (needs Node.js)
	cd clients/typescript && export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true && \
	  npm run --silent lint && npm run --silent generate && npm run --silent build
	PATH="$(abspath $(BIN)):$$PATH" openapi-python-client generate --path openapi.json --meta none --overwrite \
	  --fail-on-warning --config clients/python/config.yml --output-path clients/python/media_classification_client

build: $(SERVING) save  ## Builds the bento
	$(BIN)/bentoml build

lock: $(IMAGING)  ## Writes the pinned and hashed requirements of the image
	$(BIN)/pip-compile --quiet --generate-hashes --no-header --no-annotate --strip-extras --allow-unsafe \
	  --no-emit-options -o $(IMAGE_REQUIREMENTS).lock $(IMAGE_REQUIREMENTS).txt

deployments: $(SERVING)  ## Adds models that Compose, Kubernetes and Prometheus do not name yet
	$(BIN)/python deploy/add_models.py

image: $(IMAGING)  ## Builds the image with docker, podman or buildah, and writes its bill of materials (IMAGE, BASE)
	PATH="$(abspath $(BIN)):$$PATH" deploy/image $(IMAGE) $(IMAGE_REQUIREMENTS).lock

up:  ## Starts the stack: the API, Redis, a container for each runner (SCALE="voice-gender=2", OBSERVABILITY=1, API_KEY)
	IMAGE=$(IMAGE) SCALE="$(SCALE)" deploy/compose up --detach

down:  ## Ends the stack, and leaves nothing of it behind but the volume of Redis, which has the keys of callers
	deploy/compose down

test-containers: $(DEVELOPMENT) $(IMAGING)  ## Builds the image on a base of its own and tests it in containers (needs podman)
	$(BIN)/python -m pytest -m containers tests/containers $(PYTEST_ARGS)

container-figures: $(DEVELOPMENT)  ## Writes what `make test-containers` measured into deploy/README.md
	$(BIN)/python -m tests.containers.figures

clean:  ## Removes what the other targets made, and the model store
	rm -rf $(VENV) $(PEERS) build/lib build/bdist.* *.egg-info benchmarks/.cache .bentoml .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* mutants
	rm -rf clients/python/media_classification_client clients/typescript/{generated,dist,node_modules}

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# pip, which tells what it does in one line: written over on a terminal, the names of packages elsewhere.
define install
	@echo "installing $(1) into $(VENV)"
	@set -o pipefail; export PYTHONUNBUFFERED=1; \
	  $(2) -m pip install --disable-pip-version-check --progress-bar off -r $(1) | while IFS= read -r line; do \
	    read -r verb what _ <<<"$$line"; \
	    case $$verb in Collecting | Downloading | Installing) ;; *) continue ;; esac; \
	    if [ -t 1 ]; then printf '\r\033[K%.78s' "$$verb $${what##*/}"; \
	    elif [ "$$verb" != Downloading ]; then echo "$$verb $$what"; fi; \
	  done
	@[ ! -t 1 ] || printf '\r\033[K'
endef

$(SERVING): $(BIN)/python requirements-serving.txt
	$(call install,requirements-serving.txt,$(BIN)/python)
	touch $@

$(IMAGING): $(SERVING) deploy/requirements.txt
	$(call install,deploy/requirements.txt,$(BIN)/python)
	touch $@

$(DEVELOPMENT): $(SERVING) requirements.txt $(addsuffix /requirements.txt,training clients tests)
	$(BIN)/python -m training.install
	$(call install,requirements.txt,$(BIN)/python)
	$(BIN)/python -m training.trim
	touch $@

$(MUTANTS): $(DEVELOPMENT) tests/requirements-mutants.txt
	$(call install,tests/requirements-mutants.txt,$(BIN)/python)
	touch $@

$(NODE_MODULES): clients/typescript/package.json clients/typescript/package-lock.json
	cd clients/typescript && npm ci --silent --no-audit --no-fund

# On top of the development environment, so that nothing is installed twice, and seen by nothing else.
$(PEERS)/.some: $(DEVELOPMENT) benchmarks/requirements.txt
	$(BIN)/python -m venv $(PEERS)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> "$$($(PEERS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/development.pth"
	$(call install,benchmarks/requirements.txt,$(PEERS)/bin/python)
	touch $@

$(PEERS)/.engines: $(PEERS)/.some benchmarks/requirements-engines.txt
	$(call install,benchmarks/requirements-engines.txt,$(PEERS)/bin/python)
	touch $@

$(PEERS)/.all: $(PEERS)/.some benchmarks/requirements-ray.txt
	$(call install,benchmarks/requirements-ray.txt,$(PEERS)/bin/python)
	touch $@
