# SPDX-License-Identifier: GPL-2.0-only
#
# What a person types; Kbuild says what the module is made of.

KDIR ?= /lib/modules/$(shell uname -r)/build

help_text = \
"make            build dm_crypt_async.ko for the running kernel, or for KDIR=..." \
"make install    install it (modules_install) and run depmod" \
"make dkms       have DKMS build and install it, now and for kernels to come" \
"make deb        make Debian packages of it and of the command, in build/deb" \
"make clean      remove what was built here" \
"make demo       boot a virtual machine and show that it works" \
"make test       all tests; RELEASES=\"trixie\" and TESTS=\"...\" select some" \
"make check      the sources only: warnings, sparse, coccinelle, checkpatch, shellcheck..." \
"make debug-kernel                 build a kernel with KASAN, lockdep and so on, as one more release;" \
"                                  KIND=kcsan: one that finds data races; KIND=kasan: a faster one, with" \
"                                  KASAN and kmemleak only; KIND=coverage: for the next" \
"make coverage   which lines of the module run in the tests, on a kernel of its own" \
"make stress     asynchronous crypto under errors and in little memory; DURATION=3600" \
"make soak       everything at once, drawn by lot from a seed; DURATION=3600 SEED=n" \
"make fuzz       made-up table lines, keys and messages in user space; DURATION=600" \
"make bench      measure beside the kernel's own target, in ten minutes: build/bench/report.html" \
"scripts/bench --full              the same for an hour, or in parts; --help has options" \
"make docs       draw the figures" \
"make new-test NAME=80-example     start a test from a template" \
"scripts/vm --help                 run any command in a virtual machine"

all:
	@test -e $(KDIR)/Makefile || { echo "no kernel headers in $(KDIR): install them, or say KDIR=..." >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod -a $(INSTALL_MOD_PATH:%=-b %) "$$($(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)"

dkms:
	@scripts/dkms

deb:
	@scripts/setup
	@scripts/deb

clean:
	$(if $(wildcard $(KDIR)/Makefile),$(MAKE) -C $(KDIR) M=$(CURDIR) clean)
	rm -rf build

demo:
	@scripts/setup
	@scripts/demo

test:
	@scripts/setup
	@tests/run

docs:
	@scripts/setup
	@mkdir -p build/docs
	@scripts/root run trixie -- dot -Tsvg -o build/docs/fragment.svg docs/fragment.dot
	@echo build/docs/fragment.svg

debug-kernel:
	@scripts/setup
	@scripts/debug-kernel $(KIND)

coverage:
	@scripts/setup
	@scripts/coverage

stress:
	@scripts/setup
	@scripts/stress $(or $(DURATION),3600)

soak:
	@scripts/setup
	@SEED="$(SEED)" scripts/soak $(or $(DURATION),3600)

fuzz:
	@scripts/setup
	@scripts/fuzz $(or $(DURATION),600)

bench:
	@scripts/setup
	@scripts/bench

check:
	@scripts/setup
	@TESTS=tests/static/ tests/run

new-test:
	@tests/new "$(NAME)"

help:
	@printf '%s\n' $(help_text)

.PHONY: all install dkms deb clean demo test bench check docs debug-kernel coverage stress soak fuzz new-test help
