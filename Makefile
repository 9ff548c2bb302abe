# `make` prints this file's targets. The virtual environment is made by whatever target needs it first, and again only
# when a file in requirements/ changed.

PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
# Tests in parallel; two workers fit the smallest machine we support.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-compiled fuzz fuzz-codec check format compile bench faults guard traces stack dashboards pictures image lock docs clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Serve two example gRPC backends behind the gateway
	$(BIN)/python -m api_gateway demo

test: check ## Everything that must hold before a change lands: checks, then all tests with coverage
	scripts/install-system-packages --check
	$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report=term

# Left out: one that inherits from a compiled class. tests/conformance holds the native codec to the rules of ProtoJSON.
test-compiled: build/compiled/.stamp ## The tests of the request path once more, against the compiled gateway (needs a C compiler)
	PYTHONPATH=build/compiled $(BIN)/python -m pytest -n $(JOBS) -o pythonpath="build/compiled ." \
		tests/conformance tests/differential tests/e2e tests/faults tests/fuzz tests/interop tests/wire tests/security tests/unit/proxy tests/unit/test_waiting.py \
		tests/unit/test_deadlines.py $(addprefix tests/unit/,edge grpc http2 policy routing state telemetry transcoding) \
		--deselect tests/unit/test_waiting.py::test_cancel_reaches_the_work_behind

fuzz: $(VENV)/.dev ## Play mutated answers of servers to the gRPC client for half an hour (ARGS="--seconds 60 --seed 7")
	$(BIN)/python -m tests.fuzz $(ARGS)

fuzz-codec: build/compiled/.stamp ## Hold the native JSON codec against the plain one for ten minutes (ARGS="--seconds 60 --seed 7")
	PYTHONPATH=build/compiled:. $(BIN)/python -m tests.fuzz.codec $(ARGS)

check: $(VENV)/.dev ## Format, lint, types and imports, without tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate-demo-protos --check

format: $(VENV)/.dev ## Format the code and repair what the linter can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compile: build/compiled/.stamp ## Build the gateway with its request path compiled by mypyc, into build/compiled

# In a folder of its own: compiled modules beside their sources would hide every later change of them.
build/compiled/.stamp: $(VENV)/.dev setup.py $(shell find src -name '*.py' -o -name '*.[ch]')
	rm -rf build/compiled build/lib.* build/temp.*
	API_GATEWAY_COMPILE=1 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --target build/compiled .
	touch $@

bench: $(VENV)/.bench build/compiled/.stamp ## Measure the gateway (compiled) beside Envoy, on this machine
	PYTHONPATH=build/compiled $(BIN)/python -m bench

faults: $(VENV)/.bench ## Break backends in every way and hold the gateway's figures against their lines; ARGS=B1,B7 chooses
	$(BIN)/python -m scenarios $(ARGS)

guard: $(VENV)/.bench ## Hold rate limits and their shared state against their lines (11 minutes); ARGS="R1,R2" chooses, ARGS=--write keeps
	scripts/install-system-packages --check
	$(BIN)/python -m scenarios.guard $(ARGS)

traces: $(VENV)/.dev ## Hold every span of 10,000 requests against what an OTLP receiver gets
	TRACED_REQUESTS=10000 $(BIN)/python -m pytest -q -n0 tests/e2e/test_gateway_traces.py -k every_span

stack: ## Start the gateway, example services, Prometheus, Grafana, Tempo, Loki and Alloy (needs Docker; docs/deploy.md)
	docker compose up --build --detach
	@echo "gateway http://localhost:8080   Grafana http://localhost:3000 (admin/admin)   Prometheus http://localhost:9090"

dashboards: $(VENV)/.dev ## Evaluate every panel and alert against a real Prometheus after a minute of mixed traffic
	scripts/install-system-packages --check
	STACK_TRAFFIC_S=60 $(BIN)/python -m pytest tests/stack

pictures: $(VENV)/.dev ## Draw the pictures of docs/dashboards.md anew, with real traffic and a real Prometheus (three minutes)
	scripts/install-system-packages --check
	$(BIN)/python -m scripts.dashboard_pictures

image: $(VENV)/.dev ## Do the Dockerfile's steps without a container engine, the compiler's too, and run what they give
	IMAGE_COMPILES=1 $(BIN)/python -m pytest -n0 tests/stack/test_image.py

lock: $(VENV)/.dev ## Pin requirements/*.in again; ARGS=--upgrade renews the pins
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lock-requirements $(ARGS)

docs: $(VENV)/.dev ## Write the tables of docs/configuration.md from the settings
	$(BIN)/python -m scripts.configuration_reference --write

clean: ## Remove the virtual environment and everything that was generated
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests bench scenarios scripts -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# Each set of requirements contains the one before it, so one environment serves them all. The pins are the whole set:
# nothing is resolved again, since pip then looks at releases that came after them (and refuses those: no hash).
$(VENV)/.demo $(VENV)/.dev $(VENV)/.bench: $(VENV)/.%: requirements/%.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	$(BIN)/python -m pip check
	touch $@
