// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into cryptsetup by "crypt-async cryptsetup": shows it mappings of the target
 * crypt-async as those of the target crypt, which is the only one that it knows.
 *
 * All that it asks of the device mapper are ioctls, of which four name targets:
 *
 *	DM_TABLE_STATUS		crypt-async reads crypt, with the key where zeros stood
 *	DM_TABLE_LOAD		crypt becomes crypt-async, for a mapping of that, or a new one
 *	DM_LIST_VERSIONS,	crypt is there, in the version that this module stands
 *	DM_GET_TARGET_VERSION	in for
 *
 * All others pass as they are. Formats are those of <linux/dm-ioctl.h>.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "table.h"

/* Of dm-crypt, as src/names.c has it: cryptsetup looks for features by it. */
#define DM_CRYPT_VERSION	{ 1, 29, 0 }

#define STANDS_IN	"/sys/module/dm_crypt_async/parameters/replace_dm_crypt"
/* In the environment, by the command: LD_PRELOAD as it was. */
#define BEFORE		"CRYPT_ASYNC_LD_PRELOAD"
/* In the environment of who asks whether the library takes effect; the answer. */
#define ANNOUNCE	"CRYPT_ASYNC_ANNOUNCE"
#define ANNOUNCEMENT	"crypt-async-cryptsetup is loaded\n"

#define EXPORT		__attribute__((visibility("default")))

/* ------------------------------------------------------------------------------- tables */

/* With "Y" and "only" the module is the target crypt, and what is loaded as that belongs to it. */
static bool stands_in(void)
{
	int fd = open(STANDS_IN, O_RDONLY | O_CLOEXEC);
	char value = 'N';

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 'N';
	close(fd);
	return value == 'Y' || value == 'o';
}

/*
 * The key is shown as zeros. cryptsetup would put these into a new table, and all that is written
 * from then on would be lost, so that a key which cannot be had is an error. One that was wiped
 * (luksSuspend) reads as zeros on dm-crypt, too: refuse_zeros() keeps them out of a table.
 */
static int show_key(int fd, const struct dm_ioctl *asked, const struct line *line)
{
	size_t length;
	char *key = key_of(line, &length);
	int err;

	if (!is_zeros(key, length))
		return 0;
	/* The message goes to the table in use. */
	if (asked->flags & DM_QUERY_INACTIVE_TABLE_FLAG)
		return -ENOKEY;
	err = get_key(fd, asked, line->spec.sector_start, key, length);
	return err == -ENOKEY ? 0 : err;
}

static int show_as_crypt(int fd, const struct dm_ioctl *asked, struct dm_ioctl *dmi)
{
	struct walk walk = walk_answer(dmi, asked->data_size);
	struct line line;
	int err, found;

	while ((found = next_line(&walk, &line)) > 0) {
		if (!has_type(&line, CRYPT_ASYNC))
			continue;
		if (asked->flags & DM_STATUS_TABLE_FLAG) {
			err = show_key(fd, asked, &line);
			if (err)
				return err;
		}
		set_type(&line, DM_CRYPT);
	}
	return found ? -EIO : 0;
}

static int table_status(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	struct dm_ioctl asked = *dmi;
	int err, ret = kernel(fd, request, dmi);

	if (ret < 0 || dmi->flags & DM_BUFFER_FULL_FLAG)
		return ret;
	err = show_as_crypt(fd, &asked, dmi);
	if (!err)
		return ret;
	/* There may be keys of the first targets. */
	if (asked.data_size > sizeof(asked))
		explicit_bzero(dmi + 1, asked.data_size - sizeof(asked));
	errno = -err;
	return -1;
}

/* A masked key must not take the real one's place. */
static int refuse_zeros(int fd, const struct dm_ioctl *asked, const struct line *line)
{
	size_t length;
	const char *key = key_of(line, &length);
	char *real;
	int err;

	if (!is_zeros(key, length))
		return 0;
	real = calloc(1, length + 1);
	if (!real)
		return -ENOMEM;
	err = get_key(fd, asked, line->spec.sector_start, real, length);
	if (!err && is_zeros(real, length)) {
		free(real);
		return 0;
	}
	explicit_bzero(real, length);
	free(real);
	return err == -ENOMEM ? -ENOMEM : -EINVAL;
}

/* Where a table that is to be loaded belongs, if it may be loaded at all. */
static int look_at_table(int fd, struct dm_ioctl *dmi, bool *belongs_here)
{
	struct walk walk = walk_request(dmi);
	struct line line;
	enum home home = NO_TABLE;
	bool is_known = false;
	int found, err;

	*belongs_here = false;
	while ((found = next_line(&walk, &line)) > 0) {
		if (!is_crypt(&line))
			continue;
		if (!is_known) {
			err = find_home(fd, dmi, &home);
			if (err || home == ELSEWHERE)
				return err;
			is_known = true;
			*belongs_here = home == ON_CRYPT_ASYNC || !stands_in();
		}
		err = home == NO_TABLE ? 0 : refuse_zeros(fd, dmi, &line);
		if (err)
			return err;
	}
	return found ? -EINVAL : 0;
}

/* The request that the kernel gets is a copy, so that the caller's is not touched. */
static int load_here(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	const size_t size = dmi->data_size;
	struct dm_ioctl *copy = malloc(size);
	struct walk walk;
	struct line line;
	int ret, saved;

	if (!copy) {
		errno = ENOMEM;
		return -1;
	}
	memcpy(copy, dmi, size);
	walk = walk_request(copy);
	while (next_line(&walk, &line) > 0) {
		if (has_type(&line, DM_CRYPT))
			set_type(&line, CRYPT_ASYNC);
	}
	ret = kernel(fd, request, copy);
	saved = errno;
	/* The kernel wipes a request that says so, and answers with a header. */
	if (dmi->flags & DM_SECURE_DATA_FLAG)
		explicit_bzero(dmi + 1, size - sizeof(*dmi));
	memcpy(dmi, copy, sizeof(*dmi));
	explicit_bzero(copy, size);
	free(copy);
	errno = saved;
	return ret;
}

static int table_load(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	bool belongs_here;
	int err = look_at_table(fd, dmi, &belongs_here);

	if (err) {
		errno = -err;
		return -1;
	}
	return belongs_here ? load_here(fd, request, dmi) : kernel(fd, request, dmi);
}

/* ----------------------------------------------------------------------------- versions */

/* The entry of a target among the versions that an answer lists; NULL if there is none. */
static char *find_target(struct dm_ioctl *dmi, size_t capacity, const char *name)
{
	const size_t head = sizeof(struct dm_target_versions);
	size_t size, at = 0;
	char *data = payload(dmi, capacity, &size);
	__u32 next;

	while (data && at <= size && size - at > head) {
		size_t left = size - at - head;

		memcpy(&next, data + at, sizeof(next));
		if (strnlen(data + at + head, left) == left)
			return NULL;
		if (!strcmp(data + at + head, name))
			return data + at;
		if (next <= head || next > size)
			return NULL;
		at += next;
	}
	return NULL;
}

/* What is made here is made by crypt-async, with what that can do, if dm-crypt is there or not. */
static void show_version(struct dm_ioctl *dmi, size_t capacity)
{
	static const __u32 version[] = DM_CRYPT_VERSION;
	char *ours = find_target(dmi, capacity, CRYPT_ASYNC);
	char *crypt = find_target(dmi, capacity, DM_CRYPT);

	if (!ours)
		return;
	if (!crypt) {
		crypt = ours;
		strcpy(crypt + sizeof(struct dm_target_versions), DM_CRYPT);
	}
	memcpy(crypt + offsetof(struct dm_target_versions, version), version, sizeof(version));
}

static int list_versions(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	const size_t capacity = dmi->data_size;
	int ret = kernel(fd, request, dmi);

	if (ret >= 0 && !(dmi->flags & DM_BUFFER_FULL_FLAG))
		show_version(dmi, capacity);
	return ret;
}

/* Of one target, by its name; the kernel loads the module, if need be. */
static int target_version(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	const struct dm_ioctl asked = *dmi;
	int ret;

	if (strncmp(dmi->name, DM_CRYPT, sizeof(dmi->name)))
		return kernel(fd, request, dmi);
	strcpy(dmi->name, CRYPT_ASYNC);
	ret = list_versions(fd, request, dmi);
	memcpy(dmi->name, asked.name, sizeof(dmi->name));
	if (ret >= 0)
		return ret;
	*dmi = asked;
	return kernel(fd, request, dmi);
}

/* ------------------------------------------------------------------------------ entry points */

static int answer(int fd, unsigned long request, struct dm_ioctl *dmi)
{
	switch (_IOC_NR(request)) {
	case DM_TABLE_STATUS_CMD:
		return table_status(fd, request, dmi);
	case DM_TABLE_LOAD_CMD:
		return table_load(fd, request, dmi);
	case DM_LIST_VERSIONS_CMD:
		return list_versions(fd, request, dmi);
	case DM_GET_TARGET_VERSION_CMD:
		return target_version(fd, request, dmi);
	default:
		return kernel(fd, request, dmi);
	}
}

static bool is_device_mapper(unsigned long request, const struct dm_ioctl *dmi)
{
	return _IOC_TYPE(request) == DM_IOCTL && _IOC_SIZE(request) == sizeof(*dmi) && dmi &&
	       dmi->data_size >= sizeof(*dmi);
}

/* Success leaves errno alone, whatever was asked in between. */
static int answer_quietly(int fd, unsigned long request, void *arg)
{
	const int saved = errno;
	int ret = answer(fd, request, arg);

	if (ret >= 0)
		errno = saved;
	return ret;
}

/* <sys/ioctl.h> may give ioctl() another name, where a long has 32 bits and time 64. */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *arg;

	va_start(rest, request);
	arg = va_arg(rest, void *);
	va_end(rest);
	return is_device_mapper(request, arg) ? answer_quietly(fd, request, arg) :
						kernel(fd, request, arg);
}

#if __SIZEOF_LONG__ == 4
EXPORT int __ioctl_time64(int fd, unsigned long request, ...)
{
	va_list rest;
	void *arg;

	va_start(rest, request);
	arg = va_arg(rest, void *);
	va_end(rest);
	return is_device_mapper(request, arg) ? answer_quietly(fd, request, arg) :
						kernel_time64(fd, request, arg);
}
#endif

/* What cryptsetup starts is to run without this: LD_PRELOAD is again what the command found. */
static void leave_environment(void)
{
	const char *before = getenv(BEFORE);

	if (!before)
		return;
	if (*before)
		setenv("LD_PRELOAD", before, 1);
	else
		unsetenv("LD_PRELOAD");
	unsetenv(BEFORE);
}

__attribute__((constructor)) static void start(void)
{
	leave_environment();
	if (getenv(ANNOUNCE) && write(STDOUT_FILENO, ANNOUNCEMENT, strlen(ANNOUNCEMENT)) < 0)
		return;
}
