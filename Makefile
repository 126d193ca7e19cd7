# Mohr: the two commands a newcomer needs are `make demo` and `make test`.
# `make help` lists the rest.

# Debian 12 packages: what is built with, what is tested with.
PACKAGES := softhsm2 libsofthsm2 opensc opensc-pkcs11 libpcsclite1 gcc libc6-dev pkg-config libusb-1.0-0-dev openssl zbar-tools qrencode chromium e2fsprogs usb.ids libccid
BIN      := bin
OUT      := out
LANG_    ?= fa
PORT     ?= 8380

.PHONY: e2e help demo run test check unit test-token test-modules image flash build packages powercut fleet golden fuzz bench bench-journal damage vuln clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## a citizen's first renewal with real parts, examined from outside
	@$(BIN)/mohrctl demo -out $(OUT)/demo -lang $(LANG_)

run: build ## a desk in the browser, to do it by hand
	@$(BIN)/mohrctl run -port $(PORT) -lang $(LANG_)

test: packages check unit ## everything that must be green: style, vet, staticcheck, tests with -race

check: ## style and static checks
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go mod tidy -diff
	go vet ./...
	go tool staticcheck ./...

unit: ## the tests
	GORACE=atexit_sleep_ms=0 go test -race -timeout 10m ./...

# The daemon is one of its own (usb/usbtest/pcsc); QEMU is only asked whether it
# takes the card, no guest is booted.
test-token: PACKAGES += pcscd vsmartcard-vpcd qemu-system-x86
test-token: packages ## OpenSC's module and tools on the virtual token, through PC/SC
	go test -race -count=1 ./usb/usbtest/card ./usb/usbtest/vpcd ./usb/usbtest/vscard ./usb/usbtest/cmd/...
	go test -race -count=1 ./usb/usbtest/pcsc ./appliance/tokend/internal/pcsc -args -token

# What a machine cannot run is SKIPPED in the table; openCryptoki needs root, as its
# places are fixed. Without -race: unit has the suite with it.
test-modules: PACKAGES += pcscd vsmartcard-vpcd libnss3 opencryptoki p11-kit p11-kit-modules
test-modules: packages ## the contract suite on five PKCS#11 modules, as a table
	@mkdir -p $(OUT) && rm -f $(OUT)/modules.txt
	@go test -count=1 -timeout 5m ./pkcs11/module -run '^TestModules$$' -args -modules -table $(abspath $(OUT)/modules.txt); \
	status=$$?; cat $(OUT)/modules.txt; exit $$status

INSTANCES ?= amd64 rpi
SITE      ?=
image: PACKAGES += gcc-aarch64-linux-gnu libc6-dev-arm64-cross squashfs-tools mtools
image: packages ## the appliance's images, into out/image/; SITE=DIR fills /perm/mohr
	go vet -C image/gokrazy ./...
	go test -C image/gokrazy ./...
	@for i in $(INSTANCES); do go run ./image/build -instance $$i $(if $(SITE),-site $(SITE)) || exit 1; done

# Of the command line only, never of the environment.
DEV   :=
FLAGS :=
# The image is built if it is missing, and always for a SITE: each station has its own.
# (Each on a line of its own: make -n runs a line that has $(MAKE) in it.)
flash: ## write the image to a memory card: DEV=/dev/sdX [SITE=DIR] [FLAGS=-yes]; without DEV, list the cards
	@mkdir -p $(BIN) && CGO_ENABLED=0 go build -trimpath -o $(BIN)/flash ./image/flash
	@if [ -n "$(DEV)" ] && { [ -n "$(SITE)" ] || [ ! -e $(OUT)/image/rpi.img ]; }; then $(MAKE) image INSTANCES=rpi; fi
	@if [ -z "$(DEV)" ]; then exec $(BIN)/flash -list; fi; \
	sudo=$$(test $$(id -u) = 0 || echo sudo); \
	$$sudo $(BIN)/flash -dev $(DEV) -image $(OUT)/image/rpi.img $(FLAGS)

CYCLES   ?= 200
RENEWALS ?= 7
# Everything is emulated (TCG), no KVM and no root; under 15 minutes on two cores.
e2e: PACKAGES += qemu-system-arm qemu-efi-aarch64 qemu-system-x86
e2e: image build ## boot the Pi's image in QEMU, renew USB tokens there, scan it, cut its power
	go build -trimpath -o $(BIN)/e2e ./image/e2e
	@$(BIN)/e2e -image $(OUT)/image/rpi.img -bare $(OUT)/image/bare-rpi.img -amd64 $(OUT)/image/amd64.img \
	  -mohrctl $(BIN)/mohrctl -out $(OUT)/e2e -cycles $(CYCLES) -renewals $(RENEWALS)

build: packages ## the programs, into bin/
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./appliance/kioskd ./appliance/syncd
	CGO_ENABLED=1 go build -trimpath -o $(BIN)/ ./appliance/tokend ./appliance/mohrctl

# Installs only what is missing, so it is silent (and needs no root) on a machine
# that has everything.
packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q ' installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  sudo=$$(test $$(id -u) = 0 || echo sudo); \
	  echo "installing Debian packages:" $$missing; \
	  $$sudo apt-get -qq update && DEBIAN_FRONTEND=noninteractive $$sudo apt-get -qq -y --no-install-recommends install $$missing >/dev/null; \
	fi

N    ?= 1000
SEED ?= 0
# Needs root, FUSE and loop devices: without them it tests nothing, says so and
# ends with status 3. sudo is asked for a password only at a terminal.
powercut: packages ## cut a kiosk's power N times (10000 for a release)
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./appliance/powercut
	@sudo=; test $$(id -u) = 0 || ! command -v sudo >/dev/null || ! { sudo -n true || test -t 0; } 2>/dev/null || sudo=sudo; \
	$$sudo $(BIN)/powercut -n $(N) -seed $(SEED) -keep $(OUT)

KIOSKS ?= 1000
fleet: ## deliver a month's backlog of KIOSKS kiosks through faults, and count
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/fleetload ./appliance/fleet/load
	@$(BIN)/fleetload -kiosks $(KIOSKS)

golden: ## draw the golden screens anew; look at each before you commit it
	go test ./display -update

FUZZTIME ?= 10s
fuzz: ## run every fuzz target for FUZZTIME
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	  echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

bench: bench-journal ## benchmarks, each beside a peer in the same run
	go test -run '^$$' -bench . -benchmem ./kiosk/cmp ./kiosk/receipt ./display ./pkcs11/... ./appliance/journal

bench-journal: ## the journal beside a plain file, bbolt and SQLite: speed, flushes, bytes, damage, a year of records
	@mkdir -p $(OUT)
	go run ./appliance/journal/peers all -dir $(OUT)

TRIALS ?= 10000
damage: ## TRIALS each of one bit and one page damaged in the journal, and more, as a table
	@go test -C appliance/journal -count=1 -run '^TestDamageTable$$' -damage $(TRIALS)

vuln: ## known vulnerabilities in what is called; needs the network
	go tool govulncheck ./...

clean: ## remove what was built
	rm -rf $(BIN) $(OUT)
