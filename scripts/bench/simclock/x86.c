// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind of an instruction of x86-64, by its code: a disassembler would take most of the time
 * that the guest needs to boot. The numbers are of the manual's opcode maps (Intel 64 and IA-32
 * Architectures Software Developer's Manual, volume 2, appendix A).
 */
#include <stdbool.h>

#include "kind.h"

/* struct prefixes: what comes before the opcode */
struct prefixes {
	bool lock;
	bool repeat;
	bool word;	/* 66: operands of two bytes */
	bool wide;	/* REX.W: operands of eight */
};

/* Return: how many bytes they are. */
static size_t read_prefixes(const unsigned char *code, size_t size, struct prefixes *found)
{
	size_t at;

	for (at = 0; at < size; at++) {
		switch (code[at]) {
		case 0xf0:
			found->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			found->repeat = true;
			break;
		case 0x66:
			found->word = true;
			break;
		case 0x67:				/* size of an address */
		case 0x26: case 0x2e: case 0x36:	/* segments */
		case 0x3e: case 0x64: case 0x65:
			break;
		case 0x40 ... 0x4f:			/* REX is the last one */
			found->wide = code[at] & 8;
			return at + 1;
		default:
			return at;
		}
	}
	return size;
}

/* Of the maps 0f 38 and 0f 3a: of general registers are movbe, crc32, mulx, shlx and others. */
static bool is_general(unsigned int map, unsigned char opcode)
{
	if (map == 2)
		return opcode >= 0xf0 && opcode <= 0xf9;
	return map == 3 && opcode == 0xf0;
}

/* Of the map 0f: SSE and MMX. */
static bool is_sse(unsigned char opcode)
{
	switch (opcode) {
	case 0x10 ... 0x17:
	case 0x28 ... 0x2f:
	case 0x50 ... 0x7f:
	case 0xc2:
	case 0xc4 ... 0xc6:
	case 0xd0 ... 0xfe:
		return true;
	default:
		return false;
	}
}

static bool is_escaped_vector(const unsigned char *code, size_t size)
{
	if (size < 2)
		return false;
	if (code[1] == 0x38 || code[1] == 0x3a)
		return size > 2 && !is_general(code[1] == 0x38 ? 2 : 3, code[2]);
	return is_sse(code[1]);
}

/* VEX of two or three bytes, EVEX of four; the map is in the second byte of the longer ones. */
static bool is_vex_vector(const unsigned char *code, size_t size)
{
	switch (code[0]) {
	case 0xc5:
		return true;
	case 0xc4:
		return size > 3 && !is_general(code[1] & 0x1f, code[3]);
	case 0x62:
		return true;
	default:
		return false;
	}
}

static unsigned int width(unsigned char opcode, const struct prefixes *prefixes)
{
	if (!(opcode & 1))
		return 1;
	if (prefixes->wide)
		return 8;
	return prefixes->word ? 2 : 4;
}

/* The instruction is of a 64-bit guest; what a guest does before it is one is not measured. */
struct instruction x86_instruction(const unsigned char *code, size_t size)
{
	struct instruction found = { KIND_PLAIN, 0 };
	struct prefixes prefixes = { 0 };
	size_t at = read_prefixes(code, size, &prefixes);

	code += at;
	size -= at;
	if (!size)
		return found;
	switch (code[0]) {
	case 0x86:
	case 0x87:	/* xchg, which locks without a prefix if one side is memory */
		if (size > 1 && code[1] < 0xc0)
			found.kind = KIND_ATOMIC;
		break;
	case 0xa4:
	case 0xa5:	/* movs */
	case 0xaa:
	case 0xab:	/* stos */
		if (prefixes.repeat) {
			found.kind = KIND_STRING;
			found.width = width(code[0], &prefixes);
		}
		break;
	case 0x0f:
		if (is_escaped_vector(code, size))
			found.kind = KIND_VECTOR;
		break;
	default:
		if (is_vex_vector(code, size))
			found.kind = KIND_VECTOR;
	}
	if (prefixes.lock)
		found.kind = KIND_ATOMIC;
	return found;
}
