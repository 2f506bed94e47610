# `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KEYSTONE := .venv-keystone
GRAFANA := .grafana-types
KUSTOMIZE := .kustomize
PEERS := .peers
DEBIAN := chromium curl faketime iproute2 jq nftables nginx-light novnc prometheus \
  prometheus-alertmanager prometheus-blackbox-exporter prometheus-pushgateway strace systemd \
  tigervnc-standalone-server websockify
# Most tests wait for I/O, so more workers run than there are cores. Tests marked "long" watch alerts
# fire and resolve in shortened time and need a machine that is not busy. Tests marked "alone" measure
# or load the machine, so they run one at a time.
LONG := -m long -n 2 --dist loadfile
SHORT := -m "not long and not alone" -n 3 --dist loadfile
ALONE := -m alone
COMPILE := $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 \
  --generate-hashes --no-annotate --no-header

.PHONY: help run test check format bench chaos soak fuzz dist generate requirements clean apt
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## install the dependencies and run the demonstration
	@exec $(BIN)/console-exporter demo

test: $(VENV)/.dev $(KEYSTONE)/.ready apt $(GRAFANA)/.ready $(KUSTOMIZE)/.ready ## install the dependencies and run all tests
	$(BIN)/python -m pytest $(LONG)
	$(BIN)/python -m pytest $(SHORT)
	$(BIN)/python -m pytest $(ALONE)

check: $(VENV)/.dev ## lint, types, imports, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev apt $(PEERS)/.ready ## run the benchmarks (minutes; see benchmarks/README.md)
	$(BIN)/python -m benchmarks

chaos: $(VENV)/.dev apt ## run the fault tests with one minute per fault (a quarter of an hour)
	ENDURANCE_SECONDS=60 $(BIN)/python -m pytest --verbose tests/endurance

soak: $(VENV)/.dev ## probe for an hour with intermittent faults
	$(BIN)/python -m benchmarks.soak

fuzz: $(VENV)/.dev ## feed arbitrary responses to every parser (a quarter of an hour)
	HOSTILE_EXAMPLES=15 timeout 1800 $(BIN)/python -m pytest tests/hostile \
	  tests/http/test_json_stream.py --show-capture=no

dist: $(VENV)/.dev ## build sdist and wheel into dist/
	$(BIN)/uv build --clear --build-constraints requirements-build.txt --require-hashes --out-dir dist

requirements: $(VENV)/.dev ## update the pinned, hashed dependencies
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group dev --constraint requirements.txt \
	  --output-file requirements-dev.txt
	echo 'hatchling>=1.27' | $(COMPILE) - --output-file requirements-build.txt
	echo 'keystone>=30,<31' | $(COMPILE) - --output-file tests/requirements-keystone.txt

generate: $(VENV)/.dev ## generate dashboards, rules and documents
	$(BIN)/console-exporter config-schema > docs/config.schema.json
	$(BIN)/python -m monitoring

clean: ## remove everything that make installed or built
	rm -rf $(VENV) $(KEYSTONE) $(GRAFANA) $(KUSTOMIZE) $(PEERS) build dist .mypy_cache .ruff_cache .hypothesis

# Debian packages venv separately from python3.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt_install,python3-venv)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# OpenStack Keystone, a real server for the tests of the password login.
$(KEYSTONE)/.ready: tests/requirements-keystone.txt | $(BIN)/python
	$(PYTHON) -m venv $(KEYSTONE)
	$(KEYSTONE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Grafana's own types, which the dashboards are checked against. Without npm those tests are skipped.
$(GRAFANA)/.ready: tests/monitoring/grafana_types/package-lock.json | apt
	@mkdir -p $(GRAFANA)
	@cp tests/monitoring/grafana_types/package.json $< $(GRAFANA)/
	@command -v npm >/dev/null || $(call apt_install,nodejs npm) || true
	@command -v npm >/dev/null && npm ci --prefix $(GRAFANA) --ignore-scripts --no-audit --no-fund \
	  --silent && touch $@ || echo "cannot install Grafana's types: their tests are skipped"

# Renders the Kubernetes manifests if there is no kubectl. Without Go those tests are skipped.
$(KUSTOMIZE)/.ready:
	@mkdir -p $(KUSTOMIZE)
	@command -v kubectl >/dev/null || { command -v go >/dev/null && \
	  GOBIN=$(CURDIR)/$(KUSTOMIZE) go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1; } && \
	  touch $@ || echo "cannot install kustomize: the tests that need it are skipped"

# The programs that the benchmarks compare with. The modules' own list of versions is not needed.
$(PEERS)/.ready: $(wildcard benchmarks/peers/*/go.*)
	@mkdir -p $(PEERS)
	cd benchmarks/peers/blackbox_exporter && GOFLAGS=-mod=mod GOBIN=$(CURDIR)/$(PEERS) \
	  go install github.com/prometheus/blackbox_exporter
	cd benchmarks/peers/cloudprober && GOFLAGS=-mod=mod GOBIN=$(CURDIR)/$(PEERS) \
	  go install github.com/cloudprober/cloudprober/cmd/cloudprober
	@touch $@

# Real components for the tests. Without root or sudo the tests that need them are skipped.
apt:
	@for package in $(DEBIAN); do \
	  dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] || $(call apt_install,$$missing) || \
	  echo "cannot install$$missing: the tests that need them are skipped"

define apt_install
{ command -v apt-get >/dev/null && \
  SUDO=$$([ "$$(id -u)" = 0 ] || echo "sudo -n") && \
  $$SUDO apt-get update -qq && \
  DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }
endef
