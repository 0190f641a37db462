/* SPDX-License-Identifier: GPL-2.0-only */
/* The key of a device: reading, replacing, showing and wiping it. */
#ifndef CA_KEY_H
#define CA_KEY_H

#include <linux/mutex.h>
#include <linux/types.h>

struct ca_cipher;
struct ca_device;

/**
 * struct ca_key - the key and how it is divided
 * @bytes: all of it, kept to tell a hexadecimal key; zeros if it came from a keyring or has been
 *	wiped
 * @size: bytes of the whole key; never changes
 * @parts: number of equal parts, which IMA measures: one for each transform, and the IV generator's
 * @extra: bytes at its end that belong to the IV generator
 * @mac: bytes at the end of each transform's part that are its authentication key
 * @ref: its place in a keyring, "<type>:<description>"; NULL for a hexadecimal key
 * @is_valid: the transforms have it
 * @lock: protects the key, the two flags and changes of settings; taken by messages, the table
 *	line, suspend and resume
 * @is_suspended: no I/O is in flight, and messages may replace the key. So it is from the beginning
 *	until the first resume, and from each postsuspend to the resume that follows
 *
 * Only messages change the key at run time, only while the device is suspended.
 */
struct ca_key {
	u8 *bytes;
	unsigned int size;
	unsigned int parts;
	unsigned int extra;
	unsigned int mac;
	char *ref;
	bool is_valid;
	bool is_suspended;
	struct mutex lock;	/* see above */
};

const char *ca_key_init(struct ca_key *key, char *text, int *err);
void ca_key_exit(struct ca_key *key);
const char *ca_key_load(struct ca_cipher *cipher, char *text, int *err);
int ca_key_message(struct ca_cipher *cipher, unsigned int argc, char **argv);
int ca_key_get(const struct ca_key *key, char *result, unsigned int maxlen);
unsigned int ca_key_emit(struct ca_device *ca, char *result, unsigned int maxlen);

#endif /* CA_KEY_H */
