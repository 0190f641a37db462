// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is preloaded into cryptsetup (scripts/command/preload) is asked about a mapping that
 * made_up_dm.c makes up. Built by tests/unit/preload.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "made_up_dm.h"

#define KEY	"00112233445566778899aabbccddeeff"
#define ZEROS	"00000000000000000000000000000000"

#define CAPACITY	2048

/* As ioctl.c has it; in a tmpfs. */
#define NAMES	"/sys/module/dm_crypt_async/parameters/replace_dm_crypt"

static struct dm_ioctl *buffer;
static size_t buffer_size;

/* Of its very size, so that a look behind it is found. */
static struct dm_ioctl *request_of(size_t capacity, __u32 flags)
{
	free(buffer);
	buffer = __real_calloc(1, capacity);
	buffer_size = capacity;
	buffer->version[0] = DM_VERSION_MAJOR;
	buffer->data_size = capacity;
	buffer->data_start = sizeof(*buffer);
	buffer->flags = flags;
	put_text(buffer->name, "volume");
	return buffer;
}

static void reset(unsigned int count, ...)
{
	va_list rest;
	unsigned int i;

	memset(&kernel_state, 0, sizeof(kernel_state));
	kernel_state.count = count;
	va_start(rest, count);
	for (i = 0; i < count; i++)
		kernel_state.targets[i] = *va_arg(rest, struct target *);
	va_end(rest);
	fail_from = 0;
	allocations = 0;
}

static struct target ours = { CRYPT_ASYNC, ZEROS, KEY, 0, NULL };
static struct target theirs = { DM_CRYPT, KEY, NULL, EINVAL, NULL };
static struct target linear = { "linear", NULL, NULL, EINVAL, NULL };

static int status(size_t capacity, __u32 flags)
{
	errno = 0;
	return ioctl(3, DM_TABLE_STATUS, request_of(capacity, flags));
}

/* The type and the parameters of a target in the answer. */
static const char *type_at(unsigned int index, const char **params)
{
	struct walk walk = walk_answer(buffer, CAPACITY);
	static struct line line;
	unsigned int i;

	for (i = 0; i <= index; i++) {
		if (next_line(&walk, &line) <= 0)
			return "";
	}
	*params = line.params;
	return line.type;
}

static bool has_key(const char *key)
{
	return memmem(buffer, buffer_size, key, strlen(key));
}

/* Loads tables of one target, but with more before it. */
static int load(__u32 flags, const char *type, const char *params)
{
	const size_t size = (sizeof(struct dm_target_spec) + strlen(params) + 1 + 7) & ~7UL;
	struct dm_ioctl *dmi = request_of(sizeof(*dmi) + 64 + size, flags);
	struct dm_target_spec first = { .length = 8, .next = 64, .target_type = "linear" };
	struct dm_target_spec second = { .length = 8 };
	char *data = (char *)(dmi + 1);

	dmi->target_count = 2;
	memcpy(data, &first, sizeof(first));
	put_text(data + sizeof(first), "254:0 0");
	put_text(second.target_type, type);
	memcpy(data + 64, &second, sizeof(second));
	put_text(data + 64 + sizeof(second), params);
	errno = 0;
	return ioctl(3, DM_TABLE_LOAD, dmi);
}

static int number;
static bool all_good = true;

static void point(bool is_good, const char *what)
{
	printf("%sok %d - %s\n", is_good ? "" : "not ", ++number, what);
	all_good = all_good && is_good;
}

/* --------------------------------------------------------------------------------- the points */

static bool shows_table(void)
{
	const char *params = "";
	bool good;

	reset(3, &linear, &ours, &theirs);
	good = !status(CAPACITY, DM_STATUS_TABLE_FLAG) && !errno &&
	       kernel_state.messages == 1 && !strcmp(type_at(0, &params), "linear") &&
	       !strcmp(type_at(1, &params), DM_CRYPT) &&
	       !strcmp(params, "aes-xts-plain64 " KEY PARAMS) &&
	       !strcmp(type_at(2, &params), DM_CRYPT);
	ours.key = ":16:logon:some:key";
	reset(1, &ours);
	good = good && !status(CAPACITY, DM_STATUS_TABLE_FLAG) && !kernel_state.messages &&
	       !strcmp(type_at(0, &params), DM_CRYPT);
	ours.key = ZEROS;
	return good;
}

static bool shows_status(void)
{
	const char *params = "";

	reset(2, &ours, &linear);
	return !status(CAPACITY, 0) && !kernel_state.messages &&
	       !strcmp(type_at(0, &params), DM_CRYPT) && !strcmp(params, "reads=1");
}

/* The device mapper's own flag says so, and nothing is asked. */
static bool is_full(void)
{
	reset(3, &linear, &ours, &theirs);
	return !status(sizeof(struct dm_ioctl) + 160, DM_STATUS_TABLE_FLAG) &&
	       buffer->flags & DM_BUFFER_FULL_FLAG && !kernel_state.messages;
}

static bool no_key(void)
{
	struct target second = { CRYPT_ASYNC, ZEROS, NULL, EINVAL, NULL };
	static const char *const answers[] = {
		"", "00", KEY "00", ":16:logon:x", "-",
		"0011223344556677x899aabbccddeeff"
	};
	const int errors[] = { EINVAL, EPERM, ENXIO, EIO };
	bool good = true;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		second.error = errors[i];
		reset(2, &ours, &second);
		good = good && status(CAPACITY, DM_STATUS_TABLE_FLAG) == -1 &&
		       errno == errors[i] && !has_key(KEY) && !has_key(ZEROS PARAMS);
	}
	for (i = 0; i < 6; i++) {
		second.answer = answers[i];
		reset(2, &ours, &second);
		good = good && status(CAPACITY, DM_STATUS_TABLE_FLAG) == -1 &&
		       errno == EAGAIN && !has_key(KEY) && !has_key(ZEROS PARAMS);
	}
	reset(1, &ours);
	return good && status(CAPACITY, DM_STATUS_TABLE_FLAG | DM_QUERY_INACTIVE_TABLE_FLAG) &&
	       errno == ENOKEY;
}

static bool key_is_wiped(void)
{
	struct target wiped = { CRYPT_ASYNC, ZEROS, NULL, ENOKEY, NULL };

	reset(1, &wiped);
	return !status(CAPACITY, DM_STATUS_TABLE_FLAG) && has_key(ZEROS) &&
	       load(0, DM_CRYPT, "aes-xts-plain64 " ZEROS PARAMS) && errno == EINVAL &&
	       !kernel_state.loads;
}

static bool loads(const char *type, __u32 flags)
{
	bool good = !load(flags, DM_CRYPT, "aes-xts-plain64 " KEY PARAMS) && !errno &&
		    kernel_state.loads == 1 && !strcmp(kernel_state.loaded[0], "linear") &&
		    !strcmp(kernel_state.loaded[1], type);

	return good && !buffer->target_count;
}

static bool finds_home(void)
{
	struct target full = { CRYPT_ASYNC, ZEROS, KEY, 0, NULL };
	bool good;

	reset(1, &ours);
	good = loads(CRYPT_ASYNC, 0);
	reset(1, &ours);
	good = good && loads(CRYPT_ASYNC, DM_SECURE_DATA_FLAG) && !has_key(KEY);
	reset(2, &linear, &full);
	good = good && loads(CRYPT_ASYNC, 0);
	reset(0);
	good = good && loads(CRYPT_ASYNC, 0);
	reset(1, &theirs);
	good = good && loads(DM_CRYPT, 0);
	reset(1, &linear);
	good = good && loads(DM_CRYPT, 0);
	reset(1, &ours);
	kernel_state.is_gone = true;
	return good && load(0, DM_CRYPT, "a " KEY PARAMS) == -1 && errno == ENXIO;
}

/* Without one the module is not loaded. */
static void set_names(const char *value)
{
	FILE *file;

	unlink(NAMES);
	if (!value)
		return;
	file = fopen(NAMES, "w");
	if (!file || fprintf(file, "%s\n", value) < 0 || fclose(file))
		abort();
}

#define NAMES_COUNT	5

static const struct {
	const char *value, *type;	/* the parameter; where a table shown as crypt belongs */
} names[NAMES_COUNT] = {
	{ NULL, CRYPT_ASYNC }, { "N", CRYPT_ASYNC }, { "shown", CRYPT_ASYNC },
	{ "Y", DM_CRYPT }, { "only", DM_CRYPT },
};

/* A table that is shown as crypt; a new one goes by the same names, dm-crypt's stays. */
static bool finds_shown(void)
{
	static const char *const statuses[] = { "driver=xts-aes fragments=0", "a=1 driver=xts" };
	struct target shown = { DM_CRYPT, KEY, KEY, 0, NULL };
	bool good = true;
	unsigned int i;

	for (i = 0; i < NAMES_COUNT * 2; i++) {
		set_names(names[i / 2].value);
		shown.status = statuses[i % 2];
		reset(1, &shown);
		good = good && loads(names[i / 2].type, 0);
		reset(2, &linear, &shown);
		good = good && loads(names[i / 2].type, 0);
		reset(0);
		good = good && loads(names[i / 2].type, 0);
		reset(1, &theirs);
		good = good && loads(DM_CRYPT, 0);
		reset(1, &ours);
		good = good && loads(CRYPT_ASYNC, 0);
	}
	set_names(NULL);
	return good;
}

/* What only looks like that: another target's status, and words that are not the module's. */
static bool not_shown(void)
{
	static const char *const statuses[] = {
		"", "a=1", "driver", "mydriver=xts", "a=1 mydriver=xts"
	};
	struct target other = { "linear", NULL, NULL, EINVAL, "driver=xts" };
	struct target crypt = { DM_CRYPT, KEY, NULL, EINVAL, NULL };
	bool good;
	unsigned int i;

	reset(1, &other);
	good = loads(DM_CRYPT, 0);
	for (i = 0; i < 5; i++) {
		crypt.status = statuses[i];
		reset(2, &crypt, &other);
		good = good && loads(DM_CRYPT, 0);
	}
	return good;
}

/* Whichever target it would be, zeros do not take the key's place; a wiped one's neither. */
static bool guards_shown(void)
{
	struct target shown = { DM_CRYPT, ZEROS, KEY, 0, "driver=xts" };
	struct target wiped = { DM_CRYPT, ZEROS, NULL, ENOKEY, "driver=xts" };
	struct target zeros = { DM_CRYPT, ZEROS, ZEROS, 0, "driver=xts" };
	const char *params = "aes-xts-plain64 " ZEROS PARAMS;
	bool good = true;
	unsigned int i;

	for (i = 0; i < NAMES_COUNT; i++) {
		set_names(names[i].value);
		reset(1, &shown);
		good = good && load(0, DM_CRYPT, params) == -1 && errno == EINVAL &&
		       !kernel_state.loads;
		reset(2, &linear, &wiped);
		good = good && load(0, DM_CRYPT, params) == -1 && errno == EINVAL &&
		       !kernel_state.loads;
		reset(1, &zeros);
		good = good && !load(0, DM_CRYPT, params) && kernel_state.loads == 1;
	}
	set_names(NULL);
	return good;
}

/* What has no encrypted target is none of the library's business. */
static bool leaves_others(void)
{
	reset(1, &ours);
	return !load(0, "integrity", "254:0 0 28 J 0") && !kernel_state.statuses &&
	       kernel_state.loads == 1;
}

static bool load_fails(void)
{
	bool good;

	reset(1, &ours);
	kernel_state.load_error = ENOKEY;
	good = load(0, DM_CRYPT, "a " KEY PARAMS) == -1 && errno == ENOKEY;
	/* The caller's request is as it was. */
	return good && memmem(buffer, buffer_size, "crypt\0\0\0\0\0\0", 11) &&
	       !memmem(buffer, buffer_size, CRYPT_ASYNC, 11);
}

static bool guards(void)
{
	static const char *const masked[] = {
		"aes-xts-plain64 " ZEROS PARAMS, "  aes-xts-plain64 \t" ZEROS PARAMS,
		"aes-xts-plain64 00", "aes-xts-plain64 0 0 254:0 0"
	};
	struct target zeros = { CRYPT_ASYNC, ZEROS, ZEROS, 0, NULL };
	bool good = true;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		reset(1, &ours);
		good = good && load(0, DM_CRYPT, masked[i]) == -1 && errno == EINVAL &&
		       !kernel_state.loads && load(0, CRYPT_ASYNC, masked[i]) == -1 &&
		       !kernel_state.loads;
	}
	reset(1, &zeros);
	good = good && !load(0, DM_CRYPT, masked[0]) && kernel_state.loads == 1 &&
	       load(0, DM_CRYPT, masked[2]) == -1;
	reset(0);
	return good && !load(0, DM_CRYPT, masked[0]) && kernel_state.loads == 1;
}

static __u32 *version_of(const char *name)
{
	const size_t head = sizeof(struct dm_target_versions);
	static __u32 version[3];
	char *at = (char *)(buffer + 1);
	__u32 next;

	do {
		memcpy(&next, at, sizeof(next));
		memcpy(version, at + offsetof(struct dm_target_versions, version), 12);
		if (!strcmp(at + head, name))
			return version;
		at += next;
	} while (next);
	version[1] = 0;
	return version;
}

static bool versions(void)
{
	bool good;

	reset(0);
	kernel_state.names[0] = "linear";
	kernel_state.names[1] = CRYPT_ASYNC;
	good = !ioctl(3, DM_LIST_VERSIONS, request_of(CAPACITY, 0)) &&
	       version_of(DM_CRYPT)[1] == 29 && version_of("linear")[1] == 2;
	kernel_state.names[2] = DM_CRYPT;
	good = good && !ioctl(3, DM_LIST_VERSIONS, request_of(CAPACITY, 0)) &&
	       version_of(DM_CRYPT)[1] == 29 && version_of(CRYPT_ASYNC)[1] == 2;
	put_text(request_of(CAPACITY, 0)->name, DM_CRYPT);
	good = good && !ioctl(3, DM_GET_TARGET_VERSION, buffer) &&
	       version_of(DM_CRYPT)[1] == 29 && !strcmp(buffer->name, DM_CRYPT);
	kernel_state.names[1] = DM_CRYPT;
	kernel_state.names[2] = NULL;
	good = good && !ioctl(3, DM_LIST_VERSIONS, request_of(CAPACITY, 0)) &&
	       version_of(DM_CRYPT)[1] == 2;
	put_text(request_of(CAPACITY, 0)->name, DM_CRYPT);
	return good && !ioctl(3, DM_GET_TARGET_VERSION, buffer) &&
	       version_of(DM_CRYPT)[1] == 2 && !strcmp(buffer->name, DM_CRYPT);
}

static bool passes(void)
{
	void *nothing = NULL;

	reset(1, &ours);
	return ioctl(7, 0x5401, nothing) == 7 && ioctl(8, DM_TABLE_STATUS, nothing) == 8 &&
	       ioctl(9, DM_DEV_STATUS, request_of(CAPACITY, 0)) == 9 &&
	       ioctl(-1, DM_TABLE_STATUS, request_of(CAPACITY, 0)) == -1;
}

static bool no_memory(void)
{
	bool good = true;
	unsigned long from;

	for (from = 1; from < 3; from++) {
		reset(1, &ours);
		fail_from = from;
		good = good && load(0, DM_CRYPT, "a " KEY PARAMS) == -1 && errno == ENOMEM &&
		       !kernel_state.loads;
		reset(1, &ours);
		fail_from = from;
		good = good && load(0, DM_CRYPT, "a " ZEROS PARAMS) == -1 && errno == ENOMEM;
	}
	reset(1, &ours);
	fail_from = 1;
	good = good && status(CAPACITY, DM_STATUS_TABLE_FLAG) == -1 && errno == ENOMEM;
	fail_from = 0;
	return good;
}

static bool malformed(void)
{
	bool good = true;

	for (spoilt = 0; spoilt < SPOILT; spoilt++) {
		reset(2, &ours, &theirs);
		kernel_state.spoil = spoil_one;
		if (status(CAPACITY, DM_STATUS_TABLE_FLAG) != -1) {
			printf("# spoilt answer %u passes\n", spoilt);
			good = false;
		}
		good = good && !has_key(ZEROS PARAMS);
		load(0, DM_CRYPT, "a " KEY PARAMS);
		good = good && !kernel_state.loads;
	}
	for (spoilt = 0; spoilt < SPOILT; spoilt++) {
		reset(1, &ours);
		kernel_state.spoil = spoil_one;
		kernel_state.spoils = DM_TARGET_MSG_CMD;
		good = good && (status(CAPACITY, DM_STATUS_TABLE_FLAG) == -1 || has_key(KEY));
	}
	return good;
}

static void spoil_any(struct dm_ioctl *dmi, size_t capacity)
{
	unsigned int left = 1 + random() % 4;

	while (left--) {
		size_t at = random() % 3 ? sizeof(*dmi) + random() % 256 : random() % sizeof(*dmi);

		if (at < capacity)
			((unsigned char *)dmi)[at] = random() % 4 ? random() : 0;
	}
}

/* The sanitizers look whether any leads out of a buffer. */
static bool at_random(void)
{
	static const unsigned long requests[] = { DM_TABLE_STATUS, DM_LIST_VERSIONS,
						  DM_TABLE_LOAD, DM_GET_TARGET_VERSION };
	bool good = true;
	unsigned int i;

	srandom(1);
	for (i = 0; i < 200000 && good; i++) {
		unsigned long request = requests[i % 4];
		size_t size = sizeof(*buffer) + (i % 7 ? 300 + random() % 100 : random() % 64);

		reset(2, &ours, &linear);
		kernel_state.names[0] = i % 3 ? CRYPT_ASYNC : DM_CRYPT;
		kernel_state.names[1] = "linear";
		kernel_state.spoil = spoil_any;
		request_of(size, i % 8 ? DM_STATUS_TABLE_FLAG : 0);
		put_text(buffer->name, DM_CRYPT);
		if (request == DM_TABLE_LOAD) {
			answer_status(buffer, size);
			buffer->data_size = size;
			spoil_any(buffer, size);
			if (buffer->data_size > size)
				buffer->data_size = size;
		}
		good = buffer->data_size < sizeof(*buffer) || ioctl(3, request, buffer) >= -1;
	}
	return good;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	made_up_ioctl = made_up;
	point(shows_table(), "a table is crypt's, with the key where zeros stood");
	point(shows_status(), "a status is crypt's, and no key is asked for");
	point(is_full(), "a buffer that is too small is left as the kernel filled it");
	point(no_key(), "a key that cannot be had is an error, and none is handed on");
	point(key_is_wiped(), "a wiped key is shown as zeros, which are not loaded");
	point(finds_home(), "a table goes where the mapping is, a new one to crypt-async");
	point(finds_shown(), "a table that is shown as crypt goes where replace_dm_crypt says");
	point(not_shown(), "a status that only looks like the module's is not one");
	point(guards_shown(), "zeros do not take the place of a key that is shown as crypt's");
	point(leaves_others(), "tables of other targets pass");
	point(load_fails(), "a table that is refused is the caller's as it was");
	point(guards(), "zeros do not take a key's place, unless it is zeros");
	point(versions(), "crypt is there, in the version that the module stands in for");
	point(passes(), "other ioctls pass");
	point(no_memory(), "without memory it is an error");
	point(malformed(), "malformed answers are errors");
	point(at_random(), "random answers and requests");
	point(!strcmp(getenv("SAME_VERSION"), "1"), "the version is the module's");
	printf("1..%d\n", number);
	free(buffer);
	return !all_good;
}
