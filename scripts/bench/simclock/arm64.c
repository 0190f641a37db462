// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind of an instruction of arm64, by its code: the groups are of the manual's "A64
 * instruction set encoding" (Arm Architecture Reference Manual for A-profile, C4.1).
 */
#include <stdbool.h>

#include "kind.h"
#include "types.h"

/* A group of instructions: those whose bits under the mask are these. */
struct group {
	u32 mask;
	u32 bits;
};

static bool is_in(u32 word, const struct group *groups, size_t count)
{
	while (count--)
		if ((word & groups[count].mask) == groups[count].bits)
			return true;
	return false;
}

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Of an exclusive pair the store counts: there others are in the way. */
static const struct group atomic[] = {
	{ 0x3f208c00, 0x38200000 },	/* ldadd and others */
	{ 0x3f20fc00, 0x38208000 },	/* swp */
	{ 0x3fa07c00, 0x08a07c00 },	/* cas */
	{ 0xbfa07c00, 0x08207c00 },	/* casp */
	{ 0x3fe00000, 0x08000000 },	/* stxr, stlxr */
	{ 0xbfe00000, 0x88200000 },	/* stxp, stlxp */
};

static const struct group vector[] = {
	{ 0x0e000000, 0x0e000000 },	/* SIMD and floating point, AES among them */
	{ 0x1e000000, 0x04000000 },	/* SVE */
	{ 0x0e000000, 0x0c000000 },	/* loads and stores of these registers (bit 26) */
};

struct instruction arm64_instruction(const unsigned char *code, size_t size)
{
	struct instruction found = { KIND_PLAIN, 0 };
	u32 word;

	if (size != 4)
		return found;
	word = code[0] | code[1] << 8 | code[2] << 16 | (u32)code[3] << 24;
	if (is_in(word, atomic, COUNT(atomic)))
		found.kind = KIND_ATOMIC;
	else if (is_in(word, vector, COUNT(vector)))
		found.kind = KIND_VECTOR;
	return found;
}
