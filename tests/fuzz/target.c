// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user space hands to the module, as libFuzzer makes it up: a table line and messages, to the
 * module's own constructor, message function, status and destructor. An input is
 *
 *	four bytes: the allocation that fails, the device below (two), and bytes for answers
 *	the table line behind the target's name
 *	a line for each message, or "suspend", or "resume"
 *
 * Held to be true, beside what the sanitizers look for: all is given back after an error and when
 * the device is gone; a refusal has an errno and says why; a table line that was accepted is
 * printed as one that, with the key that "key get" tells, makes the same device; nothing writes
 * beyond the room it is told; the key is in no error, log, table or other answer, nor in memory
 * that is freed, and the words it came in are blanked.
 */
#include "../../dm-crypt-async.h"
#include "../../src/cipher.h"
#include "../../src/iv.h"
#include "../../src/request.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_WORDS	64
#define NEEDLE		16	/* bytes of a key that give it away */
#define ROOM		FUZZ_ROOM

/* The device's words, as the device mapper cuts them out. */
struct words {
	unsigned int argc;
	char *argv[MAX_WORDS];
};

/* ---------------------------------------------------------------------- finding the key */

u8 fuzz_key[128];

/* Beginning and end of the keys of an input, as bytes and in digits. */
static struct needle {
	u8 bytes[NEEDLE];
	char digits[2 * NEEDLE + 1];
} needles[16];
static unsigned int needle_count;

/*
 * libFuzzer puts what the library's functions look for into its inputs, so this is none of them;
 * nor is it anything to explore.
 */
__attribute__((no_sanitize("coverage", "address", "undefined")))
static unsigned int count(const u8 *p, size_t size, const void *what, size_t length)
{
	const u8 *bytes = what;
	unsigned int found = 0;
	size_t i, j;

	for (i = 0; i + length <= size; i++) {
		for (j = 0; j < length; j++)
			if (p[i + j] != bytes[j] && (p[i + j] | 0x20) != bytes[j])
				break;
		found += j == length;
	}
	return found;
}

static unsigned int count_needle(const struct needle *needle, const void *p, size_t size)
{
	return count(p, size, needle->bytes, NEEDLE) +
	       count(p, size, needle->digits, 2 * NEEDLE);
}

/* A needle that has few values, or is in the input elsewhere, may be found by chance. */
static void add_needle(const u8 *bytes, const char *input, unsigned int most)
{
	struct needle *needle = &needles[needle_count];
	bool seen[256] = {};
	unsigned int values = 0;
	unsigned int i;

	if (needle_count == ARRAY_SIZE(needles))
		return;
	for (i = 0; i < NEEDLE; i++) {
		needle->bytes[i] = bytes[i];
		snprintf(needle->digits + 2 * i, 3, "%02x", bytes[i]);
		values += !seen[bytes[i]];
		seen[bytes[i]] = true;
	}
	if (values >= NEEDLE / 2 && count_needle(needle, input, strlen(input)) <= most)
		needle_count++;
}

static void add_digits(const char *digits, const char *input)
{
	u8 bytes[NEEDLE];

	if (!hex2bin(bytes, digits, NEEDLE))
		add_needle(bytes, input, 1);
}

static void watch_for(const char *word, const char *input)
{
	size_t length = strlen(word);

	if (length < 2 * NEEDLE || *word == ':')
		return;
	add_digits(word, input);
	add_digits(word + length - 2 * NEEDLE, input);
}

bool fuzz_has_key(const void *p, size_t size)
{
	unsigned int i;

	for (i = 0; i < needle_count; i++)
		if (count_needle(&needles[i], p, size))
			return true;
	return false;
}

/* ------------------------------------------------------------------------- the device */

/* A backslash takes the special meaning from what comes next, which may be a space. */
static void split(struct words *words, char *text)
{
	words->argc = 0;
	while (words->argc < MAX_WORDS) {
		char *out;

		while (isspace(*text))
			text++;
		if (!*text)
			return;
		out = text;
		words->argv[words->argc++] = out;
		while (*text && !isspace(*text)) {
			if (text[0] == '\\' && text[1])
				text++;
			*out++ = *text++;
		}
		text += !!*text;
		*out = '\0';
	}
}

static void check_blank(const struct words *words, unsigned int at, unsigned int end)
{
	for (; at < end && at < words->argc; at++)
		if (strspn(words->argv[at], "0") != strlen(words->argv[at]))
			fuzz_fail("the words of a key are not blanked", words->argv[at]);
}

/* Return: whether the line was accepted. */
static bool construct(struct dm_target *ti, char *line, const char *input)
{
	unsigned int held = fuzz_world.held;
	struct words words;
	int err;

	split(&words, line);
	if (input && words.argc > 1) {
		watch_for(words.argv[1], input);
		fuzz_tell_key(words.argv[1]);
	}
	err = fuzz_world.target->ctr(ti, words.argc, words.argv);
	check_blank(&words, 1, 2);
	if (!err)
		return true;
	if (err > 0 || err < -4095)
		fuzz_fail("refused with no errno", "");
	if (!ti->error || !*ti->error || fuzz_has_key(ti->error, strlen(ti->error)))
		fuzz_fail("a refusal that says nothing, or too much", ti->error ?: "");
	if (fuzz_world.held != held)
		fuzz_fail("kept after an error", ti->error);
	return false;
}

static void destruct(struct dm_target *ti, unsigned int held)
{
	fuzz_world.target->dtr(ti);
	if (fuzz_world.held != held)
		fuzz_fail("kept by a device that is gone", "");
}

static struct dm_target new_target(sector_t length)
{
	return (struct dm_target) { .type = fuzz_world.target, .len = length };
}

static void print(struct dm_target *ti, status_type_t type, char *room, unsigned int size)
{
	room[0] = '\0';
	fuzz_world.target->status(ti, type, 0, room, size);
}

static bool is_same(const struct ca_device *a, const struct ca_device *b)
{
	const struct ca_cipher *c = &a->cipher, *d = &b->cipher;

	return a->options == b->options && a->unit_size == b->unit_size && a->start == b->start &&
	       a->iv_offset == b->iv_offset && a->meta.used == b->meta.used &&
	       a->meta.size == b->meta.size && c->is_authenticated == d->is_authenticated &&
	       c->tfm_count == d->tfm_count && c->iv_ops == d->iv_ops && c->iv_size == d->iv_size &&
	       c->request_size == d->request_size && c->key.size == d->key.size &&
	       c->key.parts == d->key.parts && c->key.extra == d->key.extra &&
	       c->key.mac == d->key.mac && !c->key.ref == !d->key.ref &&
	       !memcmp(c->key.bytes, d->key.bytes, c->key.size);
}

/* A table line has zeros where its second word, the key, is. */
static void put_key(char *line, const char *text, const char *key)
{
	const char *zeros = strchr(text, ' ') + 1;

	snprintf(line, ROOM, "%.*s%s%s", (int)(zeros - text), text, key, strchr(zeros, ' '));
}

/* What is printed makes, with the key, the same device, which prints the same. */
static void check_round_trip(struct dm_target *ti)
{
	static char text[ROOM], line[ROOM], again[ROOM], key[ROOM], copied[ROOM];
	struct dm_target copy = new_target(ti->len);
	unsigned int held = fuzz_world.held;

	print(ti, STATUSTYPE_TABLE, text, ROOM);
	if (fuzz_has_key(text, strlen(text)))
		fuzz_fail("the key is in the table", text);
	strscpy(line, text, sizeof(line));
	if (fuzz_get_key(ti, key, ROOM))
		put_key(line, text, key);
	if (!construct(&copy, line, NULL))
		fuzz_fail("what was printed is not accepted", text);
	print(&copy, STATUSTYPE_TABLE, again, ROOM);
	if (strcmp(text, again) || !is_same(ti->private, copy.private))
		fuzz_fail("what was printed makes another device", text);
	if (*key && (!fuzz_get_key(&copy, copied, ROOM) || strcmp(key, copied)))
		fuzz_fail("a copy tells another key", text);
	destruct(&copy, held);
}

/* Answers in so little room, which ends where the sanitizer looks. */
static void check_short(struct dm_target *ti, unsigned int size)
{
	static const status_type_t types[] = {
		STATUSTYPE_INFO, STATUSTYPE_TABLE, STATUSTYPE_IMA
	};
	char *room = malloc(size + 1);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		print(ti, types[i], room, size + 1);
		if (strnlen(room, size + 1) > size || fuzz_has_key(room, strlen(room)))
			fuzz_fail("an answer without end, or with the key", "");
	}
	free(room);
	fuzz_check_key(ti, size + 1);
}

/* A unit, in memory no larger than what the cipher says that it needs. */
static void check_unit(const struct ca_device *ca, bool write)
{
	const struct ca_cipher *cipher = &ca->cipher;
	struct ca_request *r = calloc(1, cipher->request_size);
	size_t context = 64 + (cipher->aead ? sizeof(struct aead_request) :
					      sizeof(struct skcipher_request));
	struct ca_unit unit = {
		.iv = ca_request_iv(cipher, r),
		.sector = ca->iv_offset + write,
		.is_write = write,
		.data = calloc(1, ca->unit_size),
		.scratch = ca_request_scratch(cipher, r),
	};
	int err;

	memset(ca_request_aad(cipher, r), 1, ca_aad_size(cipher));
	if ((uintptr_t)ca_request_crypto(cipher, r) % ARCH_DMA_MINALIGN)
		fuzz_fail("a crypto request that begins within a cache line", "");
	memset(ca_request_crypto(cipher, r), 1, ALIGN(context, ARCH_DMA_MINALIGN));
	err = cipher->iv_ops->generate(ca, &unit);
	if (!err)
		cipher->iv_ops->finish(ca, &unit, 0);
	free(unit.data);
	free(r);
}

/* What a message to a suspended device has made of the key. */
static void note_key(const struct words *words, const char *key, int err)
{
	if (words->argc == 2 && !strcasecmp(words->argv[1], "wipe"))
		fuzz_wipe_key();
	else if (words->argc == 3 && !strcasecmp(words->argv[1], "set") && err)
		fuzz_doubt_key();
	else if (words->argc == 3 && !strcasecmp(words->argv[1], "set"))
		fuzz_tell_key(key);
}

static void message(struct dm_target *ti, struct words *words, unsigned int size,
		    const char *input)
{
	const struct ca_device *ca = ti->private;
	bool is_key = words->argc > 1 && !strcasecmp(words->argv[0], "key");
	bool gets = is_key && words->argc == 2 && !strcasecmp(words->argv[1], "get");
	char *key = strdup(is_key && words->argc > 2 ? words->argv[2] : "");
	char *room = calloc(1, size + 1);
	int err;

	if (!key || !room)
		abort();
	watch_for(key, input);
	err = fuzz_world.target->message(ti, words->argc, words->argv, room, size + 1);
	check_blank(words, 2, words->argc);
	if (err == 1 && strnlen(room, size + 1) > size)
		fuzz_fail("an answer without end", "");
	if (!gets && fuzz_has_key(room, strnlen(room, size + 1)))
		fuzz_fail("an answer with the key", "");
	if (is_key && ca->cipher.key.is_suspended)
		note_key(words, key, err);
	fuzz_check_key(ti, size + 1);
	free(room);
	free(key);
}

static void send(struct dm_target *ti, char *line, unsigned int size, const char *input)
{
	const struct target_type *target = fuzz_world.target;
	struct words words;

	split(&words, line);
	if (words.argc == 1 && !strcmp(line, "suspend")) {
		target->postsuspend(ti);
	} else if (words.argc == 1 && !strcmp(line, "resume")) {
		if (!target->preresume(ti))
			target->resume(ti);
	} else if (words.argc) {
		message(ti, &words, size, input);
	}
}

/* ------------------------------------------------------------------------------ inputs */

static void make_below(u8 kind, u8 room)
{
	static const unsigned int sizes[] = { 4, 16, 28, 32, 48, 64, 240, 496 };

	fuzz_world.room = (struct blk_integrity) {
		.metadata_size = sizes[room & 7],
		.interval_exp = room & 8 ? 12 : 9,
		.is_opaque = !(kind & 2),
	};
	fuzz_world.below = (struct block_device) {
		.bd_disk = kind & 1 ? (struct gendisk *)&fuzz_world.room : NULL,
		.is_zoned = (kind & 12) == 12,
		.block_size = (kind & 12) == 8 ? 2 * PAGE_SIZE : SECTOR_SIZE,
	};
}

/* Capital letters: A for the first allocation, and so on. */
static unsigned int failing(u8 c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 1 : 0;
}

static void run(const u8 *control, char *text, const char *input)
{
	struct dm_target ti = new_target(2048);
	char *next = strchr(text, '\n');
	char *line;

	if (next)
		*next++ = '\0';
	make_below(control[1], control[2]);
	fuzz_world.fail_at = failing(control[0]);
	if (!construct(&ti, text, input))
		return;
	fuzz_world.fail_at = 0;
	check_round_trip(&ti);
	check_short(&ti, control[3] * 4);
	check_unit(ti.private, false);
	check_unit(ti.private, true);
	while ((line = strsep(&next, "\n"))) {
		fuzz_world.fail_at = failing(control[0]);
		send(&ti, line, control[3] * 16, input);
		fuzz_world.fail_at = 0;
	}
	check_round_trip(&ti);
	destruct(&ti, 0);
}

int fuzz_begin(int *argc, char ***argv)
{
	size_t i;

	for (i = 0; i < sizeof(fuzz_key); i++)
		fuzz_key[i] = 167 * i + 89;
	return fuzz_module_init();
}

int fuzz_input(const u8 *data, size_t size)
{
	char *text, *input;

	if (size < 5)
		return -1;
	text = strndup((const char *)data + 4, size - 4);
	input = strdup(text);
	needle_count = 0;
	add_needle(fuzz_key, input, 0);
	run(data, text, input);
	free(input);
	free(text);
	return 0;
}
