#!/usr/bin/env bash
# The one door to this project: ./build.sh help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# One version for everybody: the gateway leans on what was measured with it (docs/decisions/0002-pinned-bun.md).
readonly BUN_VERSION=1.4.5
readonly BUN_FOLDER=node_modules/.bun-tool
readonly BINARY=dist/push-gateway
# Rooms whose code must be covered by tests (test/coverage.ts has the thresholds).
readonly PURE_TESTS=(test/lib test/sip test/transaction test/core test/config test/sim)

# A Bun program obeys these, and so would the binary in its tests.
unset BUN_OPTIONS BUN_BE_BUN BUN_INSPECT

usage() {
	cat <<-END
		./build.sh [build]        make $BINARY for this machine
		./build.sh release        make dist/linux-x64/push-gateway and dist/linux-arm64/push-gateway, with checksums
		./build.sh demo [--stay]  make it, and show calls to awake and sleeping phones
		./build.sh test           make it, check the code and run every test
		./build.sh lint           biome and both type checks
		./build.sh bench [ARGS]   measure the binary
		./build.sh sim [ARGS]     run the simulated world
		./build.sh help           this
	END
}

say() { printf '%s\n' "$*" >&2; }

is_pinned_bun() { [[ "$("$1" --version 2>/dev/null)" == "$BUN_VERSION" ]]; }

# Puts the pinned Bun first in PATH, from npm if need be.
find_bun() {
	is_pinned_bun bun && return
	local bin="$PWD/$BUN_FOLDER/node_modules/.bin"
	is_pinned_bun "$bin/bun" || fetch_bun
	is_pinned_bun "$bin/bun" || { say "Bun $BUN_VERSION was fetched but does not run here."; exit 1; }
	export PATH="$bin:$PATH"
}

fetch_bun() {
	command -v npm >/dev/null || { say "Bun $BUN_VERSION is needed: install it, or npm to fetch it."; exit 1; }
	say "fetching Bun $BUN_VERSION"
	mkdir -p "$BUN_FOLDER"
	# npm 11 runs only the install scripts that are allowed by name, and Bun's puts the program in place.
	printf '{"private":true,"allowScripts":{"bun":true}}\n' >"$BUN_FOLDER/package.json"
	npm install --prefix "$BUN_FOLDER" --no-audit --no-fund --loglevel=error "bun@$BUN_VERSION" >/dev/null
}

find_packages() { bun install --frozen-lockfile --silent; }

# 0.1.0+g1a2b3c4: the version of package.json, and the commit where git knows it.
version() {
	local number commit
	number=$(sed -n 's/^\t"version": "\(.*\)",$/\1/p' package.json)
	commit=$(git describe --always --dirty --abbrev=7 --match '' 2>/dev/null || true)
	printf '%s' "$number${commit:+"+g$commit"}"
}

# compile TARGET OUTFILE
compile() {
	mkdir -p "$(dirname "$2")"
	# esm: top-level await together with bytecode. Both no-autoload flags: no file of the working directory is run.
	bun build --compile --target="$1" --outfile="$2" --minify --bytecode --format=esm --sourcemap \
		--no-compile-autoload-dotenv --no-compile-autoload-bunfig \
		--define BUILD_VERSION="\"$(version)\"" --define process.env.NODE_ENV='"production"' \
		src/main.ts >/dev/null
	# The binary has it inside; this copy would only go astray.
	rm -f "$2.map"
}

build() {
	find_packages
	case "$(uname -m)" in
	x86_64) compile bun-linux-x64 "$BINARY" ;;
	aarch64) compile bun-linux-arm64 "$BINARY" ;;
	*) say "No binary is made for $(uname -m): it is x86_64 or aarch64."; exit 1 ;;
	esac
}

release() {
	find_packages
	compile bun-linux-x64 dist/linux-x64/push-gateway
	compile bun-linux-arm64 dist/linux-arm64/push-gateway
	(cd dist && sha256sum linux-*/push-gateway >SHA256SUMS && cat SHA256SUMS)
}

biome_check() { bun run --bun biome check --error-on-warnings .; }
type_check() { bun run --bun tsc --noEmit -p .; }
pure_type_check() { bun run --bun tsc --noEmit -p src/tsconfig.pure.json; }

lint() {
	find_packages
	biome_check && type_check && pure_type_check
}

# find_peer COMMAND PACKAGE PURPOSE
find_peer() {
	command -v "$1" >/dev/null && return
	if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
		say "installing $2"
		export DEBIAN_FRONTEND=noninteractive
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null 2>&1 || true
	fi
	command -v "$1" >/dev/null || say "$1 is not here and cannot be installed: $3 are skipped."
}

pure_coverage() {
	local folder present=()
	for folder in "${PURE_TESTS[@]}"; do [[ -d $folder ]] && present+=("$folder"); done
	rm -rf coverage
	bun test --only-failures --coverage --coverage-reporter=lcov --coverage-dir=coverage "${present[@]}" &&
		bun test/coverage.ts coverage/lcov.info
}

# step NAME COMMAND: its output only where it fails.
failed_steps=()
step() {
	local log=dist/step.log
	if ! "$2" >"$log" 2>&1; then
		cat "$log"
		failed_steps+=("$1")
	fi
}

# Bun's own summary, then `N passed, N failed`. A failed step counts like a failed test.
run_tests() {
	find_packages
	mkdir -p dist
	find_peer sipp sip-tester 'tests with sipp'
	find_peer chromium chromium 'tests in a browser'
	step 'the build' build
	step 'biome' biome_check
	step 'the type check' type_check
	step 'the type check of the pure rooms' pure_type_check
	step 'the coverage of the pure rooms' pure_coverage
	local log=dist/test.log status=0 passed failed name
	bun test --only-failures 2>&1 | tee "$log" || status=$?
	for name in ${failed_steps[@]+"${failed_steps[@]}"}; do say "failed besides the tests: $name"; done
	passed=$(summary_count pass "$log")
	failed=$(($(summary_count fail "$log") + ${#failed_steps[@]}))
	# A crash of the runner leaves no summary, or one without a failure.
	if [[ $status -ne 0 && $failed -eq 0 ]]; then failed=1; fi
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[[ $failed -eq 0 && $passed -gt 0 ]]
}

# summary_count WORD LOG: the number before the word in the last such line of the summary, 0 without one.
summary_count() {
	local count
	count=$(sed -n "s/^ *\([0-9][0-9]*\) $1\$/\1/p" "$2" | tail -n 1)
	printf '%d' "${count:-0}"
}

main() {
	local command=${1:-build}
	[[ $# -eq 0 ]] || shift
	case "$command" in
	help | --help | -h) usage; exit ;;
	build | release | demo | test | lint | bench | sim) find_bun ;;
	*) say "\"$command\" is no command."; usage >&2; exit 2 ;;
	esac
	case "$command" in
	build) build && say "$BINARY $(version)" ;;
	release) release ;;
	demo) build && exec "$BINARY" demo "$@" ;;
	test) run_tests ;;
	lint) lint ;;
	bench) build && exec bun test/bench/bench.ts "$@" ;;
	sim) find_packages && exec bun test/sim/sim.ts "$@" ;;
	esac
}

main "$@"
