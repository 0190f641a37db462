// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks along the targets of a buffer. Each number in it is checked, as none may lead out of it.
 */
#include "table.h"

#include <ctype.h>
#include <string.h>

/* What is behind the header, of a buffer with so many bytes; NULL if it would not be in it. */
char *payload(struct dm_ioctl *dmi, size_t capacity, size_t *size)
{
	if (dmi->data_size > capacity || dmi->data_start > dmi->data_size ||
	    dmi->data_start < offsetof(struct dm_ioctl, data))
		return NULL;
	*size = dmi->data_size - dmi->data_start;
	return (char *)dmi + dmi->data_start;
}

struct walk walk_answer(struct dm_ioctl *dmi, size_t capacity)
{
	struct walk walk = { .left = dmi->target_count, .is_answer = true };

	walk.data = payload(dmi, capacity, &walk.size);
	return walk;
}

struct walk walk_request(struct dm_ioctl *dmi)
{
	struct walk walk = { .left = dmi->target_count };

	walk.data = payload(dmi, dmi->data_size, &walk.size);
	return walk;
}

static bool go_on(struct walk *walk, __u32 next)
{
	size_t from = walk->is_answer ? walk->at : 0;

	if (next < from + sizeof(struct dm_target_spec) || next > walk->size)
		return false;
	walk->at = walk->is_answer ? next : walk->at + next;
	return walk->at <= walk->size;
}

/* The next target: 1, or 0 at the end, or -1 if what should be there is not in the buffer. */
int next_line(struct walk *walk, struct line *line)
{
	const size_t head = sizeof(line->spec);
	size_t left;
	char *at;

	/* Without a table, there is nothing behind the header. */
	if (!walk->left)
		return 0;
	if (!walk->data)
		return -1;
	if (walk->size - walk->at < head)
		return -1;
	at = walk->data + walk->at;
	memcpy(&line->spec, at, head);
	line->type = at + offsetof(struct dm_target_spec, target_type);
	line->params = at + head;
	left = walk->size - walk->at - head;
	if (strnlen(line->params, left) == left)
		return -1;
	return --walk->left && !go_on(walk, line->spec.next) ? -1 : 1;
}

bool has_type(const struct line *line, const char *type)
{
	return !strncmp(line->spec.target_type, type, DM_MAX_TYPE_NAME);
}

bool is_crypt(const struct line *line)
{
	return has_type(line, DM_CRYPT) || has_type(line, CRYPT_ASYNC);
}

void set_type(struct line *line, const char *type)
{
	memset(line->type, 0, DM_MAX_TYPE_NAME);
	memcpy(line->type, type, strlen(type));
}

/* The second word, as the kernel splits them: of an encrypted target, the key. */
char *key_of(const struct line *line, size_t *length)
{
	char *word = line->params;
	int left = 2;

	*length = 0;
	while (left--) {
		word += *length;
		while (isspace((unsigned char)*word))
			word++;
		for (*length = 0; word[*length] && !isspace((unsigned char)word[*length]);)
			(*length)++;
	}
	return word;
}

bool is_zeros(const char *word, size_t length)
{
	return length && strspn(word, "0") >= length;
}
