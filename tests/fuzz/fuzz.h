/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fakes and the fuzzer have in common. */
#ifndef FUZZ_H
#define FUZZ_H

#include "kernel.h"

#define FUZZ_ROOM	32768	/* for a table line */

/**
 * struct fuzz_world - what a device is made in
 * @target: what the module registered
 * @below: the device below
 * @room: its metadata, for what is without "disk" none
 * @fail_at: so many allocations from now one fails, 0 for none
 * @held: what the module has and did not give back
 * @is_nobody: who calls has no privileges
 */
struct fuzz_world {
	struct target_type *target;
	struct block_device below;
	struct blk_integrity room;
	unsigned int fail_at;
	unsigned int held;
	bool is_nobody;
};

extern struct fuzz_world fuzz_world;

/* The key that keyrings have, and which no other memory has by chance. */
extern u8 fuzz_key[128];

/* Of the module's source, under the name that kernel.h gives it. */
int fuzz_module_init(void);

/* What libFuzzer calls, under its names. */
int fuzz_begin(int *argc, char ***argv) asm("LLVMFuzzerInitialize");
int fuzz_input(const u8 *data, size_t size) asm("LLVMFuzzerTestOneInput");

/* Whether memory has a part of a key of the input, in digits or as bytes. */
bool fuzz_has_key(const void *p, size_t size);

/* What becomes of the device's key: it is given one, loses it, or has it no more or still. */
void fuzz_tell_key(const char *key);
void fuzz_wipe_key(void);
void fuzz_doubt_key(void);

/* What "key get" answers, which is checked. Returns whether there is a key. */
bool fuzz_get_key(struct dm_target *ti, char *room, unsigned int maxlen);

/* The same, in so little room, which ends where the sanitizer looks; and who is not told. */
void fuzz_check_key(struct dm_target *ti, unsigned int maxlen);

/* Reports a property that does not hold. */
__noreturn void fuzz_fail(const char *what, const char *text);

#endif /* FUZZ_H */
