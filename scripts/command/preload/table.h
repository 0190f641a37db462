/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables in the buffers of the device mapper's ioctls, <linux/dm-ioctl.h>.
 */
#ifndef CA_PRELOAD_TABLE_H
#define CA_PRELOAD_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>
#include <linux/ioctl.h>
#include <linux/dm-ioctl.h>

#define CRYPT_ASYNC	"crypt-async"
#define DM_CRYPT	"crypt"

/* A target, and where it is: in a buffer of others, so that nothing is aligned. */
struct line {
	struct dm_target_spec spec;
	char *type;		/* DM_MAX_TYPE_NAME bytes */
	char *params;		/* ends with NUL */
};

/* The targets of an answer, or of a request, one after the other. */
struct walk {
	char *data;		/* what is behind the header */
	size_t size;
	size_t at;
	__u32 left;
	bool is_answer;		/* its targets say from the first one on where the next is */
};

char *payload(struct dm_ioctl *dmi, size_t capacity, size_t *size);
struct walk walk_answer(struct dm_ioctl *dmi, size_t capacity);
struct walk walk_request(struct dm_ioctl *dmi);
int next_line(struct walk *walk, struct line *line);
bool has_type(const struct line *line, const char *type);
bool is_crypt(const struct line *line);
void set_type(struct line *line, const char *type);
char *key_of(const struct line *line, size_t *length);
bool is_zeros(const char *word, size_t length);

#endif
