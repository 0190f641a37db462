// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl() of the C library, and requests of the library's own through it.
 */
#define _GNU_SOURCE
#include "ask.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define STATUS_MIN	16384
#define STATUS_MAX	1048576

typedef int (*ioctl_fn)(int fd, unsigned long request, ...);

/* The function that this one stands before. Threads that look for it at once find the same. */
static ioctl_fn next_ioctl(ioctl_fn *found, const char *name)
{
	ioctl_fn next = __atomic_load_n(found, __ATOMIC_RELAXED);

	if (!next) {
		next = (ioctl_fn)dlsym(RTLD_NEXT, name);
		__atomic_store_n(found, next, __ATOMIC_RELAXED);
	}
	return next;
}

int kernel(int fd, unsigned long request, void *arg)
{
	static ioctl_fn found;
	ioctl_fn next = next_ioctl(&found, "ioctl");

	if (next)
		return next(fd, request, arg);
	errno = ENOTTY;
	return -1;
}

/* The same where a long has 32 bits and time 64. */
int kernel_time64(int fd, unsigned long request, void *arg)
{
	static ioctl_fn found;
	ioctl_fn next = next_ioctl(&found, "__ioctl_time64");

	return next ? next(fd, request, arg) : kernel(fd, request, arg);
}

/* A request about the same mapping. */
static void ask_about(struct dm_ioctl *dmi, const struct dm_ioctl *asked, size_t size)
{
	memcpy(dmi->version, asked->version, sizeof(dmi->version));
	dmi->data_size = size;
	dmi->data_start = sizeof(*dmi);
	dmi->dev = asked->dev;
	memcpy(dmi->name, asked->name, sizeof(dmi->name));
	memcpy(dmi->uuid, asked->uuid, sizeof(dmi->uuid));
}

/* A key of so many digits from a message's answer, or why that is none. */
static int take_key(struct dm_ioctl *dmi, size_t capacity, char *key, size_t length)
{
	size_t size, at;
	char *data = payload(dmi, capacity, &size);

	if (dmi->flags & DM_BUFFER_FULL_FLAG)
		return -EAGAIN;
	if (!data || !(dmi->flags & DM_DATA_OUT_FLAG))
		return -EIO;
	/* The mapping has another table by now. */
	if (strnlen(data, size) != length || size <= length)
		return -EAGAIN;
	for (at = 0; at < length; at++) {
		if (!isxdigit((unsigned char)data[at]))
			return -EAGAIN;
	}
	memcpy(key, data, length);
	return 0;
}

/* The key of the target at a sector: so many digits, if that is what it has. */
int get_key(int fd, const struct dm_ioctl *asked, __u64 sector, char *key,
	    size_t length)
{
	static const char words[] = "key get";
	size_t capacity = sizeof(struct dm_ioctl) + sizeof(__u64) + sizeof(words) + length + 8;
	struct dm_ioctl *dmi = calloc(1, capacity);
	char *data;
	int err;

	if (!dmi)
		return -ENOMEM;
	ask_about(dmi, asked, capacity);
	dmi->flags = DM_SECURE_DATA_FLAG;
	data = (char *)dmi + sizeof(*dmi);
	memcpy(data, &sector, sizeof(sector));
	memcpy(data + sizeof(sector), words, sizeof(words));
	err = kernel(fd, DM_TARGET_MSG, dmi) < 0 ? -errno : take_key(dmi, capacity, key, length);
	explicit_bzero(dmi, capacity);
	free(dmi);
	return err;
}

/*
 * A table of the module may be shown as crypt; its status names the driver, and dm-crypt's is
 * empty.
 */
static bool names_driver(const struct line *line)
{
	const char *found = strstr(line->params, "driver=");

	return is_crypt(line) && found && (found == line->params || found[-1] == ' ');
}

static int home_in(struct dm_ioctl *dmi, size_t capacity, enum home *home)
{
	struct walk walk = walk_answer(dmi, capacity);
	struct line line;
	int found;

	*home = walk.left ? ELSEWHERE : NO_TABLE;
	while ((found = next_line(&walk, &line)) > 0) {
		if (has_type(&line, CRYPT_ASYNC))
			*home = ON_CRYPT_ASYNC;
		else if (names_driver(&line) && *home != ON_CRYPT_ASYNC)
			*home = SHOWN_AS_CRYPT;
	}
	return found ? -EIO : 0;
}

/* Which targets a mapping has now. Status lines say that, and have no keys. */
int find_home(int fd, const struct dm_ioctl *asked, enum home *home)
{
	size_t size;

	for (size = STATUS_MIN; size <= STATUS_MAX; size *= 2) {
		struct dm_ioctl *dmi = calloc(1, size);
		int err = 0;
		bool is_full;

		if (!dmi)
			return -ENOMEM;
		ask_about(dmi, asked, size);
		dmi->flags = DM_NOFLUSH_FLAG;
		if (kernel(fd, DM_TABLE_STATUS, dmi) < 0)
			err = -errno;
		is_full = dmi->flags & DM_BUFFER_FULL_FLAG;
		if (!err && !is_full)
			err = home_in(dmi, size, home);
		free(dmi);
		if (err == -ENXIO) {
			*home = ELSEWHERE;
			return 0;
		}
		if (err || !is_full)
			return err;
	}
	return -ENOSPC;
}
