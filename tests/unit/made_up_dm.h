/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device mapper of one mapping, for tests/unit/preload.c.
 */
#ifndef CA_MADE_UP_DM_H
#define CA_MADE_UP_DM_H

#include <stdbool.h>
#include <stddef.h>

#include "table.h"

/* Of a table line, what is behind the key. */
#define PARAMS	" 0 254:0 0 1 allow_discards"

struct target {
	const char *type, *key;		/* the table's; none if it is not encrypted */
	const char *answer;		/* to key get; else an error */
	int error;
	const char *status;		/* its words, or NULL: "reads=1" */
};

struct made_up_kernel {
	struct target targets[4];
	unsigned int count;
	bool is_gone;
	const char *names[4];		/* of registered targets */
	int load_error;

	/* what it was asked */
	unsigned int messages, loads, statuses;
	char loaded[4][DM_MAX_TYPE_NAME];
	/* what becomes of an answer, of all ioctls or of this one */
	unsigned int spoils;
	void (*spoil)(struct dm_ioctl *dmi, size_t capacity);
};

extern struct made_up_kernel kernel_state;

/* With the first, memory is refused from that allocation of the library on. */
extern unsigned long fail_from, allocations;

void *__real_calloc(size_t count, size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);

extern int (*made_up_ioctl)(int fd, unsigned long request, void *arg);
int ioctl(int fd, unsigned long request, ...);

void put_text(char *to, const char *text);
int answer_status(struct dm_ioctl *dmi, size_t capacity);
/* Which of so many faults spoil_one() makes. */
#define SPOILT	15
extern unsigned int spoilt;
void spoil_one(struct dm_ioctl *dmi, size_t capacity);

int made_up(int fd, unsigned long request, void *arg);

#endif
