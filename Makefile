# SPDX-License-Identifier: GPL-2.0-only
#
# What a person types; Kbuild says what the module is made of.

KDIR ?= /lib/modules/$(shell uname -r)/build

help_text = \
"make            build dm_crypt_async.ko for the running kernel, or for KDIR=..." \
"make install    install it (modules_install) and run depmod" \
"make preload    build what crypt-async cryptsetup preloads into cryptsetup, in build/preload" \
"make dkms       have DKMS build and install it, now and for kernels to come" \
"make deb        make Debian packages of it and of the command, in build/deb" \
"make release VERSION=1.2.3        set the version and write tarballs, packages, checksums and the text of a" \
"                                  tag to build/release, once make release-test has passed on this code" \
"make patch KERNEL=../linux        make it a patch to an unpacked kernel tree, in build/patch" \
"make clean      remove what was built here, but for what make release-test found" \
"make demo       boot a virtual machine and show that it works" \
"make smoke      the tests that find most, in less than five minutes" \
"make test       all tests, for less than an hour; RELEASES=\"trixie\" and TESTS=\"...\" select some" \
"make release-test                 everything on everything, for days, before a new version: goes on where it" \
"                                  was ended; PARTS=\"kcsan/ soak\" selects some, LIST=1 lists them" \
"make check      the sources only: warnings, sparse, coccinelle, checkpatch, shellcheck...;" \
"                make check-c, check-sh, check-py and check-docs do one kind each" \
"make debug-kernel                 build a kernel with KASAN, lockdep and so on, as one more release;" \
"                                  KIND=kcsan: one that finds data races; KIND=kasan: a faster one, with" \
"                                  KASAN and kmemleak only; KIND=coverage: for the next" \
"make coverage   which lines of the module run in the tests, on a kernel of its own; RECORD=yes keeps it" \
"make stress     asynchronous crypto under errors and in little memory; DURATION=3600" \
"make soak       everything at once, drawn by lot from a seed; DURATION=3600 SEED=n" \
"make fuzz       made-up table lines, keys and messages in user space; DURATION=600" \
"make bench      measure beside dm-crypt, in ten minutes: build/bench/report.html" \
"scripts/bench/bench --full        the same for an hour, or in parts; --help has options" \
"make docs       draw the figures, and make docs/results and README.md's table from the records" \
"make new-test NAME=80-example     start a test from a template" \
"scripts/lab/vm --help             run any command in a virtual machine"

all:
	@test -e $(KDIR)/Makefile || { echo "no kernel headers in $(KDIR): install them, or say KDIR=..." >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod -a $(INSTALL_MOD_PATH:%=-b %) "$$($(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)"

# For the command crypt-async in this checkout; the package has its own.
preload_dir = scripts/command/preload
PRELOAD_OUT ?= build/preload

preload: $(PRELOAD_OUT)/crypt-async-cryptsetup.so

$(PRELOAD_OUT)/crypt-async-cryptsetup.so: $(wildcard $(preload_dir)/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g $(CPPFLAGS) $(CFLAGS) -Wall -Wextra -fPIC -fvisibility=hidden \
		-shared $(LDFLAGS) -Wl,-z,defs -o $@.new $(filter %.c,$^) -ldl
	@mv $@.new $@

dkms:
	@scripts/packaging/dkms

deb:
	@scripts/lab/setup
	@scripts/packaging/deb

release:
	@scripts/lab/setup
	@scripts/packaging/release "$(VERSION)"

patch:
	@scripts/lab/setup
	@scripts/packaging/patch "$(KERNEL)"

clean:
	$(if $(wildcard $(KDIR)/Makefile),$(MAKE) -C $(KDIR) M=$(CURDIR) clean)
	@# What make release-test found took days.
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name release-test -exec rm -rf {} +; fi

demo:
	@scripts/lab/setup
	@scripts/lab/demo

# What is written and read back, table lines, errors, where work runs, and all that needs no guest and no time.
smoke_tests = functional/10- functional/21- functional/40- functional/70- functional/93- tests/unit/ static/build

smoke:
	@scripts/lab/setup
	@RELEASES=trixie TESTS="$(smoke_tests)" tests/run

test:
	@scripts/lab/setup --compiler --foreign
	@tests/run

release-test:
	@scripts/lab/setup --foreign
	@PARTS="$(PARTS)" tests/release $(if $(LIST),--list)

docs:
	@scripts/lab/setup
	@mkdir -p build/docs
	@scripts/lab/root run trixie -- dot -Tsvg -o build/docs/fragment.svg docs/fragment.dot
	@echo build/docs/fragment.svg
	@scripts/lab/root run trixie -- python3 tests/static/structure.py --draw
	@echo docs/structure.svg
	@scripts/results/pages
	@echo docs/results

debug-kernel:
	@scripts/lab/setup
	@scripts/lab/debug-kernel $(KIND)

coverage:
	@scripts/lab/setup
	@RECORD="$(RECORD)" scripts/lab/coverage

stress:
	@scripts/lab/setup
	@scripts/lab/stress $(or $(DURATION),3600)

soak:
	@scripts/lab/setup
	@SEED="$(SEED)" scripts/lab/soak $(or $(DURATION),3600)

fuzz:
	@scripts/lab/setup
	@scripts/lab/fuzz $(or $(DURATION),600)

bench:
	@scripts/lab/setup
	@scripts/bench/bench

check:
	@scripts/lab/setup
	@TESTS=tests/static/ tests/run

check-c:
	@scripts/lab/setup
	@TESTS="tests/static/build tests/static/c" tests/run

check-sh check-py check-docs:
	@scripts/lab/setup
	@TESTS=tests/static/$(@:check-%=%) tests/run

new-test:
	@tests/new "$(NAME)"

help:
	@printf '%s\n' $(help_text)

.PHONY: all install preload dkms deb release patch clean demo smoke test release-test bench check check-c check-sh check-py check-docs docs debug-kernel coverage stress soak fuzz new-test help
