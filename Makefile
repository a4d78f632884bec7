# The menu of what can be done here; `make` prints it. The work is in scripts/.

release = swift build -c release --static-swift-stdlib
# Also for an ordinary user, whose PATH may lack the place of nginx.
export PATH := $(PATH):/usr/sbin:/sbin
# Tests at once. Without a limit Swift Testing starts all of them together, hundreds of servers on a few processors, and those
# that wait for something wait for each other.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH ?= 12

.PHONY: help run build deb test test-bare test-terminal reliability soak test-asan test-tsan test-e2e test-metrics test-page test-containers test-fleet test-system fuzz \
	bench bench-gpu lint format check-binaries clean
.DEFAULT_GOAL := help

help:
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' Makefile | expand -t 20

run: ## run everything behind a private nginx on port 8080 (PORT=) until Ctrl-C; status page on 9180 (STATUS_PORT=); ONCE=1: show and end
	@scripts/install-dependencies run
	@# Also a make that is killed stops everything.
	@exec setpriv --pdeathsig TERM -- scripts/run

build: ## build the release binaries, .build/release/provider-fcgi and provider-reporter
	@scripts/install-dependencies
	$(release) --product provider-fcgi
	$(release) --product provider-reporter

deb: build ## build the Debian package, .build/deb/provider-client_VERSION_ARCHITECTURE.deb, and have lintian judge it
	@scripts/install-dependencies deb
	@scripts/build-deb

test: ## build and run all tests
	@scripts/install-dependencies test
	swift build --build-tests
	swift test --skip-build --disable-xctest

test-bare: ## run all tests as an ordinary user on a machine without init; needs root
	@scripts/install-dependencies test bare
	swift build --build-tests
	scripts/test-bare

test-terminal: ## stop `make run` and doctor in a real terminal, in each of their phases; doctor's progress line and colours
	@scripts/install-dependencies run terminal
	swift build
	python3 Tests/Terminal/make_run.py
	python3 Tests/Terminal/doctor.py

reliability: ## make every fault and write what came of it into docs/RELIABILITY.md
	@scripts/install-dependencies test
	swift build --build-tests
	WRITE_RELIABILITY=1 swift test --skip-build --disable-xctest --filter FaultTests

soak: ## a mixed load with faults at random, each request accounted for (MINUTES=, 10 by default; SEED=)
	@scripts/install-dependencies test
	swift build
	.build/debug/provider-soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

test-asan: ## run all tests under AddressSanitizer
	@scripts/install-dependencies test
	@scripts/test-sanitized address

test-tsan: ## run all tests under ThreadSanitizer
	@scripts/install-dependencies test
	@scripts/test-sanitized thread

test-e2e: ## test with the official Python clients and a real engine
	@scripts/install-dependencies e2e
	@scripts/test-e2e

test-metrics: ## test the metrics, the alert rules and the dashboard with a real Prometheus
	@scripts/install-dependencies metrics
	@scripts/test-metrics

test-page: ## test the status page in headless Chromium; PICTURES=docs/images writes the documents' pictures
	@scripts/install-dependencies page
	@scripts/test-page $(if $(PICTURES),--screenshots $(PICTURES))

test-containers: build ## build the containers with podman and run them; needs root
	@scripts/install-dependencies containers
	$(release) --product provider-sandbox
	scripts/test-containers

test-fleet: build ## three machines in network namespaces behind nginx/fleet.conf; needs root
	@scripts/install-dependencies fleet
	$(release) --product provider-sandbox
	scripts/test-fleet

test-system: deb ## boot a machine with systemd, install the package, restart, upgrade and purge it; needs root
	@scripts/install-dependencies system
	$(release) --product provider-sandbox
	scripts/test-system

fuzz: ## fuzz what reads foreign bytes (RUNS= inputs each, 1000000 by default; TARGET='models request': a part)
	@scripts/install-dependencies
	@scripts/fuzz $(or $(RUNS),1000000) $(TARGET)

bench: build ## measure against nginx alone, write docs/BENCHMARKS.md; ONLY='plain latency' ROUNDS=9: a part
	@scripts/install-dependencies bench
	@scripts/bench

bench-gpu: build ## compare NVML with nvidia-smi and measure both, on a machine with NVIDIA GPUs
	@python3 Benchmarks/gpu.py .build/release/provider-fcgi

lint: ## check the style of the Swift code, of the scripts and of the words
	@scripts/install-dependencies lint
	scripts/lint-prose
	swift format lint --strict --recursive --configuration .swift-format Sources Tests Fuzz Package.swift
	shellcheck scripts/* systemd/check-config systemd/rolling-restart systemd/workers .ci/run debian/provider-client.p* Benchmarks/contenders Benchmarks/measures \
		Benchmarks/report Benchmarks/nvidia-smi Tests/Containers/podman

format: ## bring the Swift code into that style
	swift format --in-place --recursive --configuration .swift-format Sources Tests Fuzz Package.swift

check-binaries: build ## check size and libraries of the release binaries
	@scripts/install-dependencies check
	scripts/check-binaries .build/release/provider-fcgi .build/release/provider-reporter

clean: ## remove what was built and run
	rm -rf .build .build-asan .build-e2e .build-fuzz .build-page .build-system .build-tsan .run
