// SPDX-License-Identifier: GPL-2.0-only
/*
 * The message "key get": it answers with the key argument that the device was given last, to the
 * administrator alone, and with none once the key has been wiped.
 */
#include "../../dm-crypt-async.h"
#include "fuzz.h"

#include <stdlib.h>

/*
 * What the device was given last. A message that was refused may have taken its key away, and may
 * have left it as it was.
 */
static struct {
	char key[FUZZ_ROOM];
	bool may_have, must_have;
} told;

void fuzz_tell_key(const char *key)
{
	strscpy(told.key, key, sizeof(told.key));
	told.may_have = true;
	told.must_have = true;
}

void fuzz_wipe_key(void)
{
	told.may_have = false;
	told.must_have = false;
}

void fuzz_doubt_key(void)
{
	told.must_have = false;
}

/* The number of bytes may have zeros in front, and digits capital letters. */
static bool is_told(const char *key)
{
	char *ours, *theirs;

	if (*told.key != ':')
		return !strcasecmp(key, *told.key ? told.key : "-");
	return *key == ':' && strtoul(key + 1, &ours, 10) == strtoul(told.key + 1, &theirs, 10) &&
	       !strcmp(ours, theirs);
}

static int ask(struct dm_target *ti, char *room, unsigned int maxlen)
{
	char key[] = "key", get[] = "Get";
	char *words[2] = { key, get };

	room[0] = '\0';
	return fuzz_world.target->message(ti, ARRAY_SIZE(words), words, room, maxlen);
}

/* An answer that fills its room is not taken for whole, but asked for again. */
static void check_answer(int err, const char *room, unsigned int maxlen)
{
	if (err == 1 ? !told.may_have : err != -ENOKEY || told.must_have)
		fuzz_fail("a key that was wiped is told, or one that is there is not", "");
	if (strnlen(room, maxlen) == maxlen)
		fuzz_fail("a key without end", "");
	if (err == 1 ? strlen(room) + 1 < maxlen && !is_told(room) : *room)
		fuzz_fail("another key is told", "");
}

bool fuzz_get_key(struct dm_target *ti, char *room, unsigned int maxlen)
{
	int err = ask(ti, room, maxlen);

	check_answer(err, room, maxlen);
	return err == 1;
}

void fuzz_check_key(struct dm_target *ti, unsigned int maxlen)
{
	char *room = malloc(maxlen);

	if (!room)
		abort();
	fuzz_get_key(ti, room, maxlen);
	fuzz_world.is_nobody = true;
	if (ask(ti, room, maxlen) != -EPERM || *room)
		fuzz_fail("anybody is told the key", "");
	fuzz_world.is_nobody = false;
	free(room);
}
