# make demo and make test set up what they need on a fresh Debian machine with
# Go; the others expect that one of them ran once.

GO      ?= go
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo development)
LDFLAGS := -s -w -X hyzer/netsvc/appliance.Version=$(VERSION)
export CGO_ENABLED = 0
# Debian keeps mke2fs and its like out of the PATH of others than root.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: build demo test qemu bench bench-imaging bench-multicast fuzz lint check-tools clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: check-tools build
	bin/hyzer-bench demo

# The race detector needs cgo; the programs themselves are built without. By
# itself it would sleep for a second at the end of each process. Packages that
# start nothing beside themselves (bench/house holds them to it) are tested
# without it: for their large disks it takes most of the time, and finds nothing.
ALONE := ^hyzer/imaging/(freemap|extfs|partition)(/|$$)
test: check-tools
	@failed=0; \
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=10 $(GO) test -race -timeout 20m $(TESTFLAGS) $$($(GO) list ./... | grep -vE '$(ALONE)') || failed=1; \
	$(GO) test -timeout 20m $(TESTFLAGS) $$($(GO) list ./... | grep -E '$(ALONE)') || failed=1; \
	exit $$failed

# Real firmware in QEMU against the appliance, as root: about three minutes.
qemu:
	@./.ci/setup all
	$(GO) test -count=1 -timeout 20m -v ./bench/qemu

# The imaging programs beside every peer that is installed, as a table.
bench-imaging: build
	bin/hyzer-bench imaging

# One image to many receivers in network namespaces, beside every peer that is
# installed (udpcast, uftp; C frisbee: HYZER_OLD_FRISBEE names its folder), as root.
bench-multicast: build
	bin/hyzer-bench multicast

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz:
	./.ci/fuzz

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...

# Packages that tests and the demo use: e2fsprogs makes and checks file
# systems, gcc is for the race detector.
check-tools:
	@./.ci/setup

clean:
	rm -rf bin demo
