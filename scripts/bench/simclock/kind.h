/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIMCLOCK_KIND_H
#define SIMCLOCK_KIND_H

#include <stddef.h>

/* enum kind: instructions that differ in how long a processor takes for them */
enum kind {
	KIND_PLAIN,
	KIND_VECTOR,	/* works on vector registers: AES among them */
	KIND_ATOMIC,	/* reads, changes and writes memory that other processors may want */
	KIND_STRING,	/* x86-64: copies or fills memory, as long as it takes */
};

/* struct instruction: what its code tells */
struct instruction {
	enum kind kind;
	unsigned int width;	/* KIND_STRING: bytes of a step */
};

struct instruction x86_instruction(const unsigned char *code, size_t size);
struct instruction arm64_instruction(const unsigned char *code, size_t size);

#endif
