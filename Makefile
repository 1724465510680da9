# Both commands work from nothing on a Debian 12 machine, as root, and say what they wait for.
.PHONY: help demo test test-long bench again cost build static reproducible packages release lint prepare clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: ## boots the sample service in the lab and shows what an operator sees
	@set -e; python=$$(tests/prepare); \
	$$python -m lab image >/dev/null & image=$$!; \
	cargo build --locked; wait $$image; \
	$$python tests/demo/demo.py "$${CARGO_TARGET_DIR:-target}/debug/bootagent"

test: ## everything that CI runs
	@set -e; python=$$(tests/prepare); tests/run $$python

test-long: ## the same, and every point of the long sweeps: SEED=N repeats a run
	@set -e; python=$$(tests/prepare); \
	SWEEP=whole SEED=$${SEED:-$$(shuf -i 0-4294967295 -n 1)} tests/run $$python

bench: ## services booted by old bash, by tuned bash and by bootagent, in turns: ROUNDS=3 CASES="node node-npm pm2 python python-pip", HALVES="installed bare sealed"
	@set -e; python=$$(tests/prepare); \
	binary=$${BOOTAGENT:-$$(packaging/static)}; \
	$$python -m lab image >/dev/null; \
	$$python tests/bench/bench.py --rounds $(or $(ROUNDS),3) $(CASES:%=--case %) $(HALVES:%=--half %) "$$binary"

again: ## what bootagent costs where nothing is to be done: runs again and reboots: RUNS=20 REBOOTS=3 CASES="node python"
	@set -e; python=$$(tests/prepare); \
	binary=$${BOOTAGENT:-$$(packaging/static)}; \
	$$python -m lab image >/dev/null; \
	$$python tests/bench/again.py $(RUNS:%=--runs %) $(REBOOTS:%=--reboots %) $(CASES:%=--case %) "$$binary"

cost: ## how a boot's time grows with the repository, variables and dependencies: AXES="size files", MOST=1000, WRITE=1 for the document
	@set -e; python=$$(tests/prepare); \
	binary=$${BOOTAGENT:-$$(packaging/static)}; \
	$$python -m lab image >/dev/null; \
	$$python tests/bench/cost.py $(AXES:%=--axis %) $(MOST:%=--most %) $(if $(WRITE),--write) "$$binary"

build: ## target/debug/bootagent
	cargo build --locked

static: ## the binary that is shipped, musl, needs nothing of its machine: ARCH=aarch64 for the other architecture
	@packaging/static $(ARCH)

reproducible: ## builds that binary twice in different directories, and compares: ARCH=aarch64
	@packaging/reproducible $(ARCH)

packages: ## the .deb and the .rpm of that binary, in target/packages
	@packaging/packages "$$(packaging/static)" "$${CARGO_TARGET_DIR:-target}/packages"

release: ## all that is published, in target/release-VERSION: binaries for x86_64 and aarch64, packages, SBOM, licences, checksums; KEY=FILE signs them
	@packaging/release

lint: ## format and lints
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings

prepare: ## only installs what is needed
	@tests/prepare >/dev/null

clean: ## removes what was built and cached
	cargo clean
	rm -rf .cache
