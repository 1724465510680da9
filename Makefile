# Both commands work from nothing on a Debian 12 machine, as root, and say what they wait for.
.PHONY: help demo test bench build static lint prepare clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: ## boots the sample service in the lab and shows what an operator sees
	@set -e; python=$$(tests/prepare); \
	binary=$$(packaging/static); \
	$$python -m lab image >/dev/null; \
	$$python tests/demo/demo.py "$$binary"

test: ## everything that CI runs
	@set -e; python=$$(tests/prepare); \
	image=$$($$python -m lab image); \
	: "some tests ask the real readers of .env: the image's Node serves where the host has none"; \
	PATH="$$PATH:$$(echo $$image/usr/local/lib/nodejs/node-v22*/bin)" tests/run $$python

bench: ## the same service booted by old bash, by tuned bash and by bootagent, in turns: ROUNDS=3
	@set -e; python=$$(tests/prepare); \
	binary=$${BOOTAGENT:-$$(packaging/static)}; \
	$$python -m lab image >/dev/null; \
	$$python tests/bench/bench.py --rounds $(or $(ROUNDS),3) "$$binary"

build: ## target/debug/bootagent
	cargo build --locked

static: ## the binary that is shipped: x86_64, musl, needs nothing of its machine
	@packaging/static

lint: ## format and lints
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings

prepare: ## only installs what is needed
	@tests/prepare >/dev/null

clean: ## removes what was built and cached
	cargo clean
	rm -rf .cache
