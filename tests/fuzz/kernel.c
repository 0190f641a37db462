// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fakes behind kernel.h. What the module takes is counted, so that a constructor that failed
 * and a device that is gone have to be even; any allocation can be made to fail; memory that is
 * freed must not hold the key.
 */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_KMALLOC	(4 << 20)	/* as with pages of 4 KiB */
#define MAX_TFMS	1024		/* "memory" is full then */

struct fuzz_world fuzz_world;
static unsigned int tfms;
static u8 sum;

void fuzz_fail(const char *what, const char *text)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, text);
	abort();
}

/* Whether this allocation fails; one that does not is to be given back. */
static bool take(void)
{
	if (fuzz_world.fail_at && !--fuzz_world.fail_at)
		return false;
	fuzz_world.held++;
	return true;
}

static void give(void)
{
	if (!fuzz_world.held--)
		fuzz_fail("given back twice", "");
}

/* ------------------------------------------------------------------------------ memory */

/* The size is in front, as far as the alignment of malloc() asks for. */
#define HEAD	16

void *kmalloc(size_t size, gfp_t gfp)
{
	char *p;

	if (size > MAX_KMALLOC || !take())
		return NULL;
	p = malloc(HEAD + size);
	if (!p)
		abort();
	memcpy(p, &size, sizeof(size));
	memset(p + HEAD, 0xa5, size);
	return p + HEAD;
}

void *kzalloc(size_t size, gfp_t gfp)
{
	void *p = kmalloc(size, gfp);

	return p ? memset(p, 0, size) : NULL;
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kzalloc(n * size, gfp);
}

static size_t size_of(const char *p)
{
	size_t size;

	memcpy(&size, p - HEAD, sizeof(size));
	return size;
}

static void release(char *p)
{
	give();
	free(p - HEAD);
}

void kfree(const void *p)
{
	if (!p)
		return;
	if (fuzz_has_key(p, size_of(p)))
		fuzz_fail("memory is freed with the key in it", "");
	release((char *)p);
}

void kfree_sensitive(const void *p)
{
	if (p)
		release(memset((void *)p, 0, size_of(p)));
}

char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? kmemdup_nul(s, strlen(s), gfp) : NULL;
}

char *kmemdup_nul(const char *s, size_t length, gfp_t gfp)
{
	char *p = kmalloc(length + 1, gfp);

	if (p) {
		memcpy(p, s, length);
		p[length] = '\0';
	}
	return p;
}

char *kasprintf(gfp_t gfp, const char *format, ...)
{
	char *text = NULL;
	char *copy;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	copy = kstrdup(text, gfp);
	free(text);
	return copy;
}

void get_random_bytes(void *p, size_t size)
{
	memset(p, 0x5c, size);
}

int mempool_init_page_pool(mempool_t *pool, int count, int order)
{
	pool->room = kmalloc(1, GFP_KERNEL);
	return pool->room ? 0 : -ENOMEM;
}

void mempool_exit(mempool_t *pool)
{
	kfree(pool->room);
}

/* ---------------------------------------------------------------------------- strings */

int kstrtoull(const char *s, unsigned int base, u64 *result)
{
	u64 value = 0;

	if (base != 10)
		abort();
	s += *s == '+';
	if (!isdigit(*s))
		return -EINVAL;
	for (; isdigit(*s); s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *s - '0', &value))
			return -ERANGE;
	if (*s == '\n')
		s++;
	if (*s)
		return -EINVAL;
	*result = value;
	return 0;
}

int kstrtouint(const char *s, unsigned int base, unsigned int *result)
{
	u64 value;
	int err = kstrtoull(s, base, &value);

	if (err || value > UINT_MAX)
		return err ?: -ERANGE;
	*result = value;
	return 0;
}

static int digit(char c)
{
	if (isdigit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex2bin(u8 *to, const char *from, size_t count)
{
	while (count--) {
		int high = digit(*from++);
		int low = high < 0 ? -1 : digit(*from++);

		if (low < 0)
			return -EINVAL;
		*to++ = high << 4 | low;
	}
	return 0;
}

int scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(to, size, format, args);
	va_end(args);
	if (!size)
		return 0;
	return (size_t)length < size ? length : (int)size - 1;
}

ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t length = strnlen(from, size);

	if (length == size) {
		memcpy(to, from, size - 1);
		to[size - 1] = '\0';
		return -E2BIG;
	}
	memcpy(to, from, length + 1);
	return length;
}

u32 crc32_le(u32 crc, const u8 *p, size_t size)
{
	fuzz_read(p, size);
	return crc;
}

int fuzz_read(const void *p, size_t size)
{
	const u8 *bytes = p;

	while (size--)
		sum += *bytes++;
	return 0;
}

void fuzz_log(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (fuzz_has_key(text, strlen(text)))
		fuzz_fail("the key is in the log", text);
}

/* ------------------------------------------------------------------------ locks, CPUs */

void mutex_init(struct mutex *lock)
{
	lock->held = false;
}

void mutex_lock(struct mutex *lock)
{
	if (lock->held)
		fuzz_fail("a deadlock", "");
	lock->held = true;
}

void mutex_unlock(struct mutex *lock)
{
	lock->held = false;
}

static const struct cpumask online = { 0xf };
const struct cpumask *cpu_online_mask = &online;
struct task_struct *current;
unsigned long jiffies;

bool zalloc_cpumask_var(cpumask_var_t *mask, gfp_t gfp)
{
	*mask = kzalloc(sizeof(**mask), gfp);
	return *mask;
}

void free_cpumask_var(cpumask_var_t mask)
{
	kfree(mask);
}

/* "0-3,8", for 64 CPUs. */
int cpulist_parse(const char *s, struct cpumask *mask)
{
	unsigned long first;
	unsigned long last;
	char *end;

	while (*s && *s != '\n') {
		if (!isdigit(*s))
			return -EINVAL;
		first = strtoul(s, &end, 10);
		last = first;
		if (*end == '-' && isdigit(end[1]))
			last = strtoul(end + 1, &end, 10);
		if (first > last || last > 63)
			return -ERANGE;
		for (; first <= last; first++)
			mask->bits |= 1ULL << first;
		if (*end && *end != ',' && *end != '\n')
			return -EINVAL;
		s = end + (*end == ',');
	}
	return 0;
}

/* ---------------------------------------------------------------------- device mapper */

/* A path or <major>:<minor> is a device of the kind that the input asks for. */
int dm_get_device(struct dm_target *ti, const char *path, unsigned int mode, struct dm_dev **dev)
{
	if (*path != '/' && !isdigit(*path))
		return -ENODEV;
	*dev = kzalloc(sizeof(**dev), GFP_KERNEL);
	if (!*dev)
		return -ENOMEM;
	(*dev)->bdev = &fuzz_world.below;
	strscpy((*dev)->name, "7:0", sizeof((*dev)->name));
	return 0;
}

void dm_put_device(struct dm_target *ti, struct dm_dev *dev)
{
	kfree(dev);
}

const char *dm_shift_arg(struct dm_arg_set *as)
{
	if (!as->argc)
		return NULL;
	as->argc--;
	return *as->argv++;
}

/* The number wraps at 32 bits, and nothing may follow it. */
int dm_read_arg_group(const struct dm_arg *arg, struct dm_arg_set *as, unsigned int *value,
		      char **error)
{
	const char *s = dm_shift_arg(as);
	unsigned int number = 0;
	bool any = false;

	for (; s && isdigit(*s); s++, any = true)
		number = (u64)number * 10 + (*s - '0');
	*value = number;
	if (any && !*s && number >= arg->min && number <= arg->max && number <= as->argc)
		return 0;
	*error = arg->error;
	return -EINVAL;
}

/* ------------------------------------------------------------------------------- keys */

bool capable(int capability)
{
	return capability == CAP_SYS_ADMIN && !fuzz_world.is_nobody;
}

struct key_type key_type_user = { "user" };
struct key_type key_type_logon = { "logon" };
struct key_type key_type_encrypted = { "encrypted" };
struct key_type key_type_trusted = { "trusted" };

/* A description ends with the key's size, "revoked" has no key in it, others do not exist. */
struct key *request_key(struct key_type *type, const char *description, const char *info)
{
	static struct { struct user_key_payload head; u8 data[128]; } user;
	static struct encrypted_key_payload encrypted;
	static struct trusted_key_payload trusted;
	const char *number = strpbrk(description, "0123456789");
	unsigned int size = number ? strtoul(number, NULL, 10) : 0;
	struct key *key;

	if (!number && strcmp(description, "revoked"))
		return ERR_PTR(-ENOKEY);
	if (size > sizeof(user.data))
		return ERR_PTR(-EINVAL);
	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	memcpy(user.data, fuzz_key, sizeof(user.data));
	memcpy(trusted.key, fuzz_key, sizeof(trusted.key));
	user.head.datalen = size;
	trusted.key_len = size;
	encrypted.decrypted_datalen = size;
	encrypted.decrypted_data = trusted.key;
	if (type == &key_type_encrypted)
		key->payload = &encrypted;
	else
		key->payload = type == &key_type_trusted ? (void *)&trusted : (void *)&user;
	if (!number)
		key->payload = NULL;
	return key;
}

void key_put(struct key *key)
{
	if (key->sem.held)
		fuzz_fail("a key is put while it is locked", "");
	kfree(key);
}

void down_read(struct rw_semaphore *sem)
{
	sem->held++;
}

void up_read(struct rw_semaphore *sem)
{
	sem->held--;
}

const void *dereference_key_locked(const struct key *key)
{
	if (!key->sem.held)
		fuzz_fail("a key is read without its lock", "");
	return key->payload;
}

/* ----------------------------------------------------------------------------- crypto */

static struct crypto_tfm *new_tfm(const struct crypto_tfm *like, const char *name)
{
	struct crypto_tfm *tfm;

	if (tfms >= MAX_TFMS)
		return ERR_PTR(-ENOMEM);
	tfm = kmalloc(sizeof(*tfm), GFP_KERNEL);
	if (!tfm)
		return ERR_PTR(-ENOMEM);
	tfms++;
	*tfm = *like;
	strscpy(tfm->name, name, sizeof(tfm->name));
	return tfm;
}

void fuzz_free_tfm(struct crypto_tfm *tfm)
{
	tfms--;
	kfree(tfm);
}

static const struct crypto_tfm hashes[] = {
	{ .name = "md5", .tag = 16 }, { .name = "sha1", .tag = 20 },
	{ .name = "sha256", .tag = 32 }, { .name = "hmac(sha256)", .tag = 32 },
	{ .name = "hmac(sha512)", .tag = 64 }, { .name = "crc32", .tag = 4 },
};

static const struct crypto_tfm *find_hash(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hashes); i++)
		if (strlen(hashes[i].name) == length && !strncmp(name, hashes[i].name, length))
			return &hashes[i];
	return NULL;
}

struct crypto_tfm *fuzz_alloc_hash(const char *name)
{
	const struct crypto_tfm *hash = find_hash(name, strlen(name));

	return hash ? new_tfm(hash, name) : ERR_PTR(-ENOENT);
}

static const struct crypto_tfm ciphers[] = {
	{ .name = "aes", .block = 16, .key_min = 16, .key_max = 32 },
	{ .name = "serpent", .block = 16, .key_min = 0, .key_max = 32 },
	{ .name = "blowfish", .block = 8, .key_min = 4, .key_max = 56 },
	{ .name = "des3_ede", .block = 8, .key_min = 24, .key_max = 24 },
	{ .name = "cipher_null", .block = 1 },
};

/* Ciphers that do not exist, with sizes that none has, but that the Crypto API may get one day. */
static const struct crypto_tfm whole[] = {
	{ .name = "adiantum(xchacha12,aes)", .iv = 32, .block = 16, .key_min = 32, .key_max = 32 },
	{ .name = "odd1", .iv = 1, .block = 1, .key_max = 4, .align = 63 },
	{ .name = "odd3", .iv = 3, .block = 3, .key_min = 4, .key_max = 64 },
	{ .name = "odd64", .iv = 64, .block = 64, .key_max = 1024 },
	{ .name = "cbc(odd20)", .iv = 20, .block = 20, .key_max = 64 },
	{ .name = "odd1024", .iv = 64, .block = 1024, .key_min = 4, .key_max = 4 },
};

/* Return: what follows "name(" and how long it is up to the ")" at the end, or NULL. */
static const char *within(const char *text, const char *name, size_t *length)
{
	size_t skip = strlen(name);

	if (strncmp(text, name, skip) || text[skip] != '(' || text[strlen(text) - 1] != ')')
		return NULL;
	*length = strlen(text) - skip - 2;
	return text + skip + 1;
}

static bool find_mode(const char *name, struct crypto_tfm *tfm)
{
	static const struct { const char *name; bool iv; unsigned int times, plus; } modes[] = {
		{ "cbc", true, 1, 0 }, { "ctr", true, 1, 0 }, { "ecb", false, 1, 0 },
		{ "xts", true, 2, 0 }, { "lrw", true, 1, 16 },
	};
	const char *inner;
	size_t length;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		for (j = 0; j < ARRAY_SIZE(ciphers); j++) {
			inner = within(name, modes[i].name, &length);
			if (!inner || strlen(ciphers[j].name) != length ||
			    strncmp(inner, ciphers[j].name, length))
				continue;
			*tfm = ciphers[j];
			tfm->iv = modes[i].iv && tfm->block > 1 ? tfm->block : 0;
			tfm->key_min = tfm->key_min * modes[i].times + modes[i].plus;
			tfm->key_max = tfm->key_max * modes[i].times + modes[i].plus;
			return true;
		}
	return false;
}

static bool find_skcipher(const char *name, struct crypto_tfm *tfm)
{
	char inside[CRYPTO_MAX_ALG_NAME];
	const char *comma = strrchr(name, ',');
	const char *inner;
	size_t length;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(whole); i++)
		if (!strcmp(name, whole[i].name)) {
			*tfm = whole[i];
			return true;
		}
	inner = within(name, "essiv", &length);
	if (!inner)
		return find_mode(name, tfm);
	if (!comma || comma < inner || !find_hash(comma + 1, inner + length - comma - 1))
		return false;
	snprintf(inside, sizeof(inside), "%.*s", (int)(comma - inner), inner);
	return find_mode(inside, tfm);
}

struct crypto_tfm *fuzz_alloc_skcipher(const char *name)
{
	struct crypto_tfm tfm = {};

	return find_skcipher(name, &tfm) ? new_tfm(&tfm, name) : ERR_PTR(-ENOENT);
}

static bool find_aead(const char *name, struct crypto_tfm *tfm)
{
	static const struct crypto_tfm aeads[] = {
		{ .name = "gcm(aes)", .iv = 12, .block = 1, .key_min = 16, .key_max = 32,
		  .tag = 16 },
		{ .name = "rfc7539(chacha20,poly1305)", .iv = 12, .block = 1, .key_min = 32,
		  .key_max = 32, .tag = 16 },
		{ .name = "aeadodd", .iv = 0, .block = 1, .key_max = 64, .tag = 480 },
	};
	char inside[CRYPTO_MAX_ALG_NAME];
	const char *comma, *inner;
	size_t length;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(aeads); i++)
		if (!strcmp(name, aeads[i].name)) {
			*tfm = aeads[i];
			return true;
		}
	inner = within(name, "authenc", &length);
	comma = inner ? strchr(inner, ',') : NULL;
	if (!comma || !find_hash(inner, comma - inner))
		return false;
	snprintf(inside, sizeof(inside), "%.*s", (int)(inner + length - comma - 1), comma + 1);
	if (!find_skcipher(inside, tfm))
		return false;
	tfm->tag = find_hash(inner, comma - inner)->tag;
	tfm->authenc = true;
	return true;
}

struct crypto_tfm *fuzz_alloc_aead(const char *name)
{
	struct crypto_tfm tfm = {};

	return find_aead(name, &tfm) ? new_tfm(&tfm, name) : ERR_PTR(-ENOENT);
}

int crypto_aead_setauthsize(struct crypto_tfm *tfm, unsigned int size)
{
	return size <= tfm->tag ? 0 : -EINVAL;
}

int fuzz_set_key(struct crypto_tfm *tfm, const u8 *key, unsigned int size)
{
	struct rtattr rta;
	u32 enc;

	fuzz_read(key, size);
	if (tfm->authenc) {
		if (size < RTA_SPACE(sizeof(enc)))
			return -EINVAL;
		memcpy(&rta, key, sizeof(rta));
		memcpy(&enc, key + sizeof(rta), sizeof(enc));
		enc = cpu_to_be32(enc);
		if (rta.rta_type != CRYPTO_AUTHENC_KEYA_PARAM ||
		    rta.rta_len != RTA_LENGTH(sizeof(enc)))
			return -EINVAL;
		size -= RTA_SPACE(sizeof(enc));
		if (enc > size)
			return -EINVAL;
		size = enc;
	}
	return size >= tfm->key_min && size <= tfm->key_max && size % 4 == 0 ? 0 : -EINVAL;
}

int crypto_skcipher_encrypt(struct skcipher_request *req)
{
	fuzz_read(req->src->at, req->src->length);
	memset(req->dst->at, 0x3c, req->dst->length);
	return 0;
}
