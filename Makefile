SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV  := .venv
BIN   := $(VENV)/bin
# The first supported Python of the machine that really runs (a version manager's shim may be there and refuse).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 && { echo $$p; break; }; done)
LAKE  ?= demo-lake
STREAM_LAKE ?= demo-stream-lake
MINUTES ?= 30
WORKERS ?= 2
# Of `make test`: fast ones, or all but the long ones.
TESTS ?= fast
MARKED_fast := -m "not slow"
MARKED_all :=

.PHONY: help setup demo demo-stream soak test test-slow test-long test-cluster test-s3 dist image lint bench docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml lib/shoal/spark/jars.py lib/shoal/spark/class_archive.py
	@test -n "$(PYTHON)" || { echo "shoal: no Python 3.10, 3.11 or 3.12 found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "shoal: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m shoal.spark.jars
	$(BIN)/python -m shoal.spark.class_archive
	@touch $@

$(VENV)/.dev: requirements/dev.txt lib/shoal/testing/kafka_broker.py lib/shoal/testing/hdfs.py lib/shoal/testing/opensearch_node.py lib/shoal/testing/debian.py $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m shoal.testing.kafka_broker bring
	$(BIN)/python -m shoal.testing.hdfs bring
	$(BIN)/python -m shoal.testing.opensearch_node bring
	$(BIN)/python -m shoal.testing.debian
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

setup: $(VENV)/.runtime  ## virtual environment, pinned requirements, jars (the other targets do it themselves)

demo: $(VENV)/.runtime  ## the whole pipeline on a simulated world; ends with SQL results and the report's path
	$(BIN)/shoal demo --lake $(LAKE)

demo-stream: $(VENV)/.runtime  ## a Kafka of one node, simulated events, the stream, what it brought
	$(BIN)/shoal demo-stream --lake $(STREAM_LAKE)

soak: $(VENV)/.dev  ## random kills of ingest and stream for MINUTES (30), then every event is counted
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint  ## lint, then the tests but for the slow ones, in WORKERS (2) processes; with TESTS=all the slow ones too
	$(BIN)/python -m pytest $(MARKED_$(TESTS)) -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=30

test-slow: $(VENV)/.dev  ## the tests that are marked slow: whole pipelines, kills, a real broker
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=30

test-long: $(VENV)/.dev  ## slow tests that the gate leaves to people: a pipeline on a cluster, foreign forms, a recommender trained again and its lists
	SHOAL_LONG_TESTS=1 $(BIN)/python -m pytest -m slow tests/cluster/test_pipeline.py tests/jobs/ingest/test_foreign_world.py \
	  tests/jobs/recommend/test_build_recommendations.py tests/jobs/train/test_retrain.py tests/runner/test_pipeline.py --durations=10

test-cluster: $(VENV)/.dev  ## the tests on HDFS and a standalone Spark cluster; its pipeline is part of test-long, the rest of test-slow
	SHOAL_LONG_TESTS=1 $(BIN)/python -m pytest tests/cluster tests/lake/test_hdfs.py --durations=10

build/s3/.done: requirements/s3.txt $(VENV)/.dev
	$(BIN)/python -m venv build/s3
	build/s3/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/s3.txt
	@touch $@

test-s3: build/s3/.done  ## a lake in a bucket of an S3 on this machine (280 MB of jars); not part of the others
	SHOAL_S3_SERVER=$(CURDIR)/build/s3/bin/moto_server $(BIN)/python -m pytest tests/lake/test_s3.py --durations=10

dist: $(VENV)/.runtime  ## dist/: the wheel for drivers and the archive for workers of a cluster (docs/cluster.md)
	mkdir -p dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/python -m shoal.spark.worker_archive dist/shoal-workers.tar.gz

image:  ## the images of deploy/Dockerfile, with Docker, or with buildah where no engine is (docs/deploy.md); not part of CI
	deploy/build-images.sh

bench: $(VENV)/.bench  ## each measured claim beside its named peer; writes docs/benchmarks.md
	$(BIN)/python -m bench

docs: $(VENV)/.runtime  ## docs/tables.md from the contracts
	$(BIN)/shoal docs --output docs/tables.md

lock: $(VENV)/.runtime  ## new requirements/*.txt from requirements/*.in
	$(BIN)/python -m venv build/lock && build/lock/bin/pip install --quiet uv
	set -e; c=; for n in bench dev runtime serve build; do build/lock/bin/uv pip compile --quiet --universal --python-version 3.10 \
	  --generate-hashes --no-header --no-annotate $${c:+-c $$c} requirements/$$n.in -o requirements/$$n.txt; \
	  case $$n in bench|dev) c=requirements/$$n.txt;; esac; done
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
	  requirements/s3.in -o requirements/s3.txt

clean:  ## remove what the other targets made, the virtual environment too
	rm -rf $(VENV) demo-lake demo-stream-lake build dist .mypy_cache .ruff_cache .hypothesis spark-warehouse
