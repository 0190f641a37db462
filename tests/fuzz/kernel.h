/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of a kernel as the module's constructor, messages and status need, for a program in user
 * space. Included before everything else; the headers that the module includes are empty there.
 * What is parsed or copied behaves as in the kernel; of what happens to I/O, which never comes,
 * there are only names. Fakes are in kernel.c.
 */
#ifndef FUZZ_KERNEL_H
#define FUZZ_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

typedef unsigned char u8;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef uint32_t __le32;
typedef uint32_t __be32;
typedef u64 __le64;
typedef u64 sector_t;
typedef unsigned int gfp_t;
typedef u8 blk_status_t;

/* ------------------------------------------------------------------------ the language */

#define __init
#define __exit
#define __percpu
#define THIS_MODULE			NULL
#define __stringify(...)		__stringify_1(__VA_ARGS__)
#define __stringify_1(...)		#__VA_ARGS__
#define __noreturn			__attribute__((noreturn))
#define __printf(at, from)		__attribute__((format(printf, at, from)))
#define likely(x)			(x)
#define unlikely(x)			(x)
#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define BIT(n)				(1UL << (n))
#define __force
#define __aligned(bytes)		__attribute__((aligned(bytes)))
#define READ_ONCE(x)			(x)
#define WRITE_ONCE(x, value)		((x) = (value))
#define smp_load_acquire(p)		(*(p))
#define smp_store_release(p, value)	(*(p) = (value))
#define round_down(x, y)		((x) & ~((y) - 1))
#define min_t(type, a, b)		((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b)		((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define min(a, b)			min_t(typeof((a) + (b)), a, b)
#define max(a, b)			max_t(typeof((a) + (b)), a, b)
#define container_of(p, type, member)	((type *)((char *)(p) - offsetof(type, member)))
#define BUILD_BUG_ON(condition)		_Static_assert(!(condition), #condition)
#define ALIGN(n, to)			(((n) + (to) - 1) & ~((typeof(n))(to) - 1))
#define PTR_ALIGN(p, to)						\
	((typeof(p))(((uintptr_t)(p) + (to) - 1) & ~((uintptr_t)(to) - 1)))
#define is_power_of_2(n)		((n) && !((n) & ((n) - 1)))
#define ilog2(n)			(63 - __builtin_clzll(n))
#define hweight_long(n)			__builtin_popcountl(n)
#define lower_32_bits(n)		((u32)(n))
#define upper_32_bits(n)		((u32)((u64)(n) >> 32))
#define IS_REACHABLE(option)		1
#define fips_enabled			0

#define MODULE_ALIAS(x)			struct fuzz_nothing
#define MODULE_AUTHOR(x)		struct fuzz_nothing
#define MODULE_DESCRIPTION(x)		struct fuzz_nothing
#define MODULE_LICENSE(x)		struct fuzz_nothing
#define MODULE_PARM_DESC(name, x)	struct fuzz_nothing
#define MODULE_SOFTDEP(x)		struct fuzz_nothing
#define MODULE_VERSION(x)		struct fuzz_nothing
#define module_param(name, type, mode)	type *const fuzz_parameter_##name = &name
#define module_init(fn)			int fuzz_module_init(void) { return fn(); }
#define module_exit(fn)			void fuzz_module_exit(void) { fn(); }

/* --------------------------------------------------------------------- memory, errors */

#define GFP_KERNEL		1
#define GFP_NOWAIT		2
#define __GFP_NOWARN		4
#define __GFP_NOFAIL		8
#define __GFP_DIRECT_RECLAIM	1
#define PAGE_SIZE		4096UL
#define CRYPTO_MINALIGN		8
#define ARCH_DMA_MINALIGN	128	/* as on arm64 */

void *kmalloc(size_t size, gfp_t gfp);
void *kzalloc(size_t size, gfp_t gfp);
void *kcalloc(size_t n, size_t size, gfp_t gfp);
void kfree(const void *p);
void kfree_sensitive(const void *p);
char *kstrdup(const char *s, gfp_t gfp);
char *kmemdup_nul(const char *s, size_t length, gfp_t gfp);
__printf(2, 3) char *kasprintf(gfp_t gfp, const char *format, ...);
#define memzero_explicit(p, size)	memset(p, 0, size)
void get_random_bytes(void *p, size_t size);

#define alloc_percpu(type)		((type *)kzalloc(sizeof(type), GFP_KERNEL))
#define free_percpu(p)			kfree(p)
#define this_cpu_add(variable, n)	((variable) += (n))
#define per_cpu_ptr(p, cpu)		((void)(cpu), (p))
#define this_cpu_inc(x)			((x)++)
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 1; (cpu)++)

#define ERR_PTR(err)			((void *)(intptr_t)(err))
#define PTR_ERR(p)			((int)(intptr_t)(p))
#define IS_ERR(p)			((uintptr_t)(p) >= (uintptr_t)-4095)
#define IS_ERR_OR_NULL(p)		(!(p) || IS_ERR(p))
#define PTR_ERR_OR_ZERO(p)		(IS_ERR(p) ? PTR_ERR(p) : 0)

#define READ			0
#define WRITE			1

/* ----------------------------------------------------------------------------- strings */

int kstrtoull(const char *s, unsigned int base, unsigned long long *result);
int kstrtouint(const char *s, unsigned int base, unsigned int *result);
int hex2bin(u8 *to, const char *from, size_t count);
__printf(3, 4) int scnprintf(char *to, size_t size, const char *format, ...);
ssize_t strscpy(char *to, const char *from, size_t size);

static inline int isdigit(int c)
{
	return c >= '0' && c <= '9';
}

/* The kernel's has a space of Latin-1 as well, which is half a character of UTF-8. */
static inline int isspace(int c)
{
	return (c >= '\t' && c <= '\r') || c == ' ' || (u8)c == 0xa0;
}

/* ------------------------------------------------------- bytes, as a little-endian has them */

#define cpu_to_le32(n)		(n)
#define cpu_to_le64(n)		(n)
#define cpu_to_be32(n)		__builtin_bswap32(n)
#define le32_to_cpu_array(p, n)	((void)(p), (void)(n))
#define cpu_to_le32_array(p, n)	((void)(p), (void)(n))

static inline void put_unaligned_le32(u32 n, void *p)
{
	memcpy(p, &n, sizeof(n));
}

static inline void put_unaligned_le64(u64 n, void *p)
{
	memcpy(p, &n, sizeof(n));
}

static inline void put_unaligned_be64(u64 n, void *p)
{
	n = __builtin_bswap64(n);
	memcpy(p, &n, sizeof(n));
}

static inline u32 rol32(u32 n, unsigned int by)
{
	return n << (by & 31) | n >> (-by & 31);
}

static inline void crypto_xor_cpy(u8 *to, const u8 *a, const u8 *b, unsigned int size)
{
	while (size--)
		*to++ = *a++ ^ *b++;
}

static inline void crypto_xor(u8 *to, const u8 *with, unsigned int size)
{
	crypto_xor_cpy(to, to, with, size);
}

u32 crc32_le(u32 crc, const u8 *p, size_t size);

/* --------------------------------------------------- what a structure must have room for */

typedef struct {
	int counter;
} atomic_t;

#define atomic_read(a)		((a)->counter)
#define atomic_read_acquire(a)	((a)->counter)
#define atomic_inc_return(a)	(++(a)->counter)
#define atomic_dec_return(a)	(--(a)->counter)
#define atomic_set(a, n)	((a)->counter = (n))
#define atomic_dec(a)		((void)(a)->counter--)
#define cmpxchg(p, old, new)	((void)(*(p) == (old) && (*(p) = (new))))

typedef struct {
	int held;
} spinlock_t;

struct mutex {
	bool held;
};

void mutex_init(struct mutex *lock);
void mutex_lock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

struct list_head { struct list_head *next, *prev; };
struct llist_head { void *first; };
struct llist_node { struct llist_node *next; };
struct work_struct { int unused; };
typedef void (*work_func_t)(struct work_struct *work);
typedef void (*crypto_completion_t)(void *data, int err);
struct delayed_work { struct work_struct work; };
struct tasklet_struct { int unused; };
struct ca_shrinker { int unused; };
struct bio_set { int unused; };
struct workqueue_struct;
#define queue_work(queue, work)	((void)(queue), (void)(work))
#define mod_delayed_work(queue, work, delay) ((void)(queue), (void)(work), (void)(delay))
#define queue_work_on(cpu, queue, work) ((void)(queue), (void)(work))
#define raw_smp_processor_id()	0
struct task_struct;
struct page;
extern struct task_struct *current;
extern unsigned long jiffies;
#define HZ	250

typedef struct {
	void *room;
} mempool_t;

int mempool_init_page_pool(mempool_t *pool, int count, int order);
void mempool_exit(mempool_t *pool);
struct page *mempool_alloc(mempool_t *pool, gfp_t gfp);
void mempool_free(struct page *page, mempool_t *pool);

#define page_address(page)	((void *)(page))
#define virt_to_page(p)		((struct page *)(p))
#define offset_in_page(p)	((uintptr_t)(p) & (PAGE_SIZE - 1))
#define memalloc_noio_save()	0U
#define memalloc_noio_restore(flags) ((void)(flags))
#define irqs_disabled()		0
#define in_task()		1
#define ktime_get_ns()		1UL

/* -------------------------------------------------------------------------------- CPUs */

struct cpumask {
	u64 bits;
};

typedef struct cpumask *cpumask_var_t;
extern const struct cpumask *cpu_online_mask;
bool zalloc_cpumask_var(cpumask_var_t *mask, gfp_t gfp);
void free_cpumask_var(cpumask_var_t mask);
int cpulist_parse(const char *s, struct cpumask *mask);
#define cpumask_empty(mask)		(!(mask)->bits)
#define cpumask_subset(mask, of)	(!((mask)->bits & ~(of)->bits))

/* ---------------------------------------------------------------------- block devices */

#define SECTOR_SHIFT		9
#define SECTOR_SIZE		512

struct block_device;

struct gendisk {
	struct block_device *part0;
};

struct block_device {
	struct gendisk *bd_disk;
	unsigned int block_size;
	bool is_zoned;
};

struct bvec_iter {
	sector_t bi_sector;
	unsigned int bi_size;
};

struct bio_vec { void *bv_page; };

struct bio;
typedef void bio_end_io_t(struct bio *bio);

struct bio {
	struct bio_vec *bi_io_vec;
	void *bi_private;
	bio_end_io_t *bi_end_io;
	unsigned int bi_opf;
	struct bvec_iter bi_iter;
};

struct bio_integrity_payload {
	struct bvec_iter bip_iter;
};

struct blk_integrity {
	unsigned int metadata_size;
	unsigned int interval_exp;
	bool is_opaque;
};

struct queue_limits {
	unsigned int logical_block_size, physical_block_size, io_min, dma_alignment;
};

enum req_op { REQ_OP_READ, REQ_OP_WRITE, REQ_OP_DISCARD };
#define REQ_PREFLUSH			(1U << 18)
#define REQ_RAHEAD			(1U << 19)
#define BLK_STS_AGAIN			12
#define bio_op(bio)			((enum req_op)((bio)->bi_opf & 255))
#define bio_data_dir(bio)		((bio)->bi_opf & 1)
#define bio_sectors(bio)		((bio)->bi_iter.bi_size >> SECTOR_SHIFT)
#define op_is_zone_mgmt(op)		((void)(op), false)
#define bio_clear_polled(bio)		((void)(bio))
#define bio_set_dev(bio, bdev)		((void)(bdev))
#define bdev_logical_block_size(bdev)	((bdev)->block_size)
#define bdev_is_zoned(bdev)		((bdev)->is_zoned)
#define blk_get_integrity(disk)		((const struct blk_integrity *)(disk))
#define ca_integrity_size(profile)	((profile)->metadata_size)
#define ca_integrity_is_opaque(profile)	((profile)->is_opaque)
#define ca_limit_atomic_writes(limits, bytes) ((void)(limits), (void)(bytes))
#define ca_limit_zone_writes(limits)	((void)(limits))
struct bio_integrity_payload *bio_integrity(struct bio *bio);
struct bio_integrity_payload *bio_integrity_alloc(struct bio *bio, gfp_t gfp, unsigned int n);
unsigned int bio_integrity_add_page(struct bio *bio, struct page *page, unsigned int length,
				    unsigned int offset);

/* ------------------------------------------------------------------------ device mapper */

#define DM_MAPIO_SUBMITTED	0
#define DM_MAPIO_REMAPPED	1
#define DM_MAPIO_KILL		4
#define CA_TARGET_NOWAIT	0
#define DM_TARGET_ZONED_HM	0
#define DM_TARGET_ATOMIC_WRITES	0
#define AUDIT_DM_CTRL		0

typedef enum { STATUSTYPE_INFO, STATUSTYPE_TABLE, STATUSTYPE_IMA } status_type_t;

struct dm_dev {
	struct block_device *bdev;
	char name[16];
};

struct target_type;

struct dm_target {
	const struct target_type *type;
	sector_t begin;
	sector_t len;
	void *table;
	void *private;
	char *error;
	unsigned int num_flush_bios, num_discard_bios;
	bool limit_swap_bios, accounts_remapped_io, emulate_zone_append;
};

struct dm_arg {
	unsigned int min, max;
	char *error;
};

struct dm_arg_set {
	unsigned int argc;
	char **argv;
};

typedef int (*iterate_devices_callout_fn)(struct dm_target *ti, struct dm_dev *dev, sector_t start,
					  sector_t length, void *data);

struct target_type {
	const char *name;
	unsigned int version[3];
	void *module;
	unsigned int features;
	void *report_zones;
	int (*ctr)(struct dm_target *ti, unsigned int argc, char **argv);
	void (*dtr)(struct dm_target *ti);
	int (*map)(struct dm_target *ti, struct bio *bio);
	void (*status)(struct dm_target *ti, status_type_t type, unsigned int flags, char *result,
		       unsigned int maxlen);
	void (*postsuspend)(struct dm_target *ti);
	int (*preresume)(struct dm_target *ti);
	void (*resume)(struct dm_target *ti);
	int (*message)(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen);
	int (*iterate_devices)(struct dm_target *ti, iterate_devices_callout_fn fn, void *data);
	void (*io_hints)(struct dm_target *ti, struct queue_limits *limits);
};

int dm_get_device(struct dm_target *ti, const char *path, unsigned int mode, struct dm_dev **dev);
void dm_put_device(struct dm_target *ti, struct dm_dev *dev);
int dm_read_arg_group(const struct dm_arg *arg, struct dm_arg_set *as, unsigned int *value,
		      char **error);
const char *dm_shift_arg(struct dm_arg_set *as);
#define dm_table_get_mode(table)	0
#define dm_table_device_name(table)	"253:0"
#define dm_target_offset(ti, sector)	((sector) - (ti)->begin)
#define dm_audit_log_ti(...)		((void)0)
#define dm_audit_log_bio(...)		((void)0)

__printf(1, 2) void fuzz_log(const char *format, ...);
#define DMERR			fuzz_log
#define DMWARN			fuzz_log
#define DMERR_LIMIT		fuzz_log

#define DMEMIT(...)							\
	(sz += sz >= maxlen ? 0 : scnprintf(result + sz, maxlen - sz, __VA_ARGS__))
#define DMEMIT_TARGET_NAME_VERSION(type)				\
	DMEMIT("target_name=%s,target_version=%u.%u.%u", (type)->name, (type)->version[0], \
	       (type)->version[1], (type)->version[2])

/* -------------------------------------------------------------------------------- keys */

#define CAP_SYS_ADMIN	21
bool capable(int capability);

struct rw_semaphore { int held; };

struct key {
	struct rw_semaphore sem;
	const void *payload;
};

struct key_type { const char *name; };
struct user_key_payload { unsigned short datalen; u8 data[]; };
struct encrypted_key_payload { u8 *decrypted_data; unsigned short decrypted_datalen; };
struct trusted_key_payload { unsigned int key_len; u8 key[128]; };

extern struct key_type key_type_user, key_type_logon, key_type_encrypted, key_type_trusted;
struct key *request_key(struct key_type *type, const char *description, const char *info);
void key_put(struct key *key);
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
const void *dereference_key_locked(const struct key *key);
#define user_key_payload_locked(key)	dereference_key_locked(key)

/* ------------------------------------------------------------------------------ crypto */

#define CRYPTO_MAX_ALG_NAME		128
#define CRYPTO_ALG_ALLOCATES_MEMORY	1
#define CRYPTO_AUTHENC_KEYA_PARAM	1
#define MD5_DIGEST_SIZE			16
#define MD5_HASH_WORDS			4

struct rtattr {
	unsigned short rta_len;
	unsigned short rta_type;
};

#define RTA_LENGTH(size)		(sizeof(struct rtattr) + (size))
#define RTA_SPACE(size)			((RTA_LENGTH(size) + 3) & ~3UL)
#define RTA_DATA(rta)			((void *)((rta) + 1))

struct crypto_authenc_key_param { __be32 enckeylen; };

/* One type for all transforms: which numbers matter depends on what it is. */
struct crypto_tfm {
	char name[CRYPTO_MAX_ALG_NAME];
	unsigned int iv, block, align, tag;
	unsigned int key_min, key_max;	/* a multiple of four */
	unsigned int authenc;		/* the key is two keys */
};

#define crypto_skcipher			crypto_tfm
#define crypto_aead			crypto_tfm
#define crypto_ahash			crypto_tfm
#define crypto_shash			crypto_tfm
#define crypto_sync_skcipher		crypto_tfm

struct scatterlist { void *at; unsigned int length; };
struct skcipher_request { struct crypto_tfm *tfm; struct scatterlist *src, *dst; };
struct aead_request { struct crypto_tfm *tfm; };
struct shash_desc { struct crypto_tfm *tfm; };

struct crypto_tfm *fuzz_alloc_skcipher(const char *name);
struct crypto_tfm *fuzz_alloc_aead(const char *name);
struct crypto_tfm *fuzz_alloc_hash(const char *name);
void fuzz_free_tfm(struct crypto_tfm *tfm);
int fuzz_set_key(struct crypto_tfm *tfm, const u8 *key, unsigned int size);
int crypto_aead_setauthsize(struct crypto_tfm *tfm, unsigned int size);

#define crypto_alloc_skcipher(name, type, mask)		fuzz_alloc_skcipher(name)
#define crypto_alloc_sync_skcipher(name, type, mask)	fuzz_alloc_skcipher(name)
#define crypto_alloc_aead(name, type, mask)		fuzz_alloc_aead(name)
#define crypto_alloc_ahash(name, type, mask)		fuzz_alloc_hash(name)
#define crypto_alloc_shash(name, type, mask)		fuzz_alloc_hash(name)
#define crypto_free_skcipher			fuzz_free_tfm
#define crypto_free_sync_skcipher		fuzz_free_tfm
#define crypto_free_aead			fuzz_free_tfm
#define crypto_free_ahash			fuzz_free_tfm
#define crypto_free_shash			fuzz_free_tfm
#define crypto_skcipher_setkey			fuzz_set_key
#define crypto_sync_skcipher_setkey		fuzz_set_key
#define crypto_aead_setkey			fuzz_set_key
#define crypto_skcipher_ivsize(tfm)		((tfm)->iv)
#define crypto_aead_ivsize(tfm)			((tfm)->iv)
#define crypto_skcipher_blocksize(tfm)		((tfm)->block)
#define crypto_aead_blocksize(tfm)		((tfm)->block)
#define crypto_skcipher_alignmask(tfm)		((tfm)->align)
#define crypto_aead_alignmask(tfm)		((tfm)->align)
#define crypto_skcipher_reqsize(tfm)		((void)(tfm), 64U)
#define crypto_aead_reqsize(tfm)		((void)(tfm), 64U)
#define crypto_ahash_digestsize(tfm)		((tfm)->tag)
#define crypto_skcipher_tfm(tfm)		(tfm)
#define crypto_aead_tfm(tfm)			(tfm)
#define crypto_tfm_alg_name(tfm)		((tfm)->name)
#define crypto_tfm_alg_driver_name(tfm)		((tfm)->name)
#define crypto_shash_statesize(tfm)		((void)(tfm), 88U)
#define crypto_shash_init(desc)			((void)(desc), 0)
#define crypto_shash_update(desc, p, size)	fuzz_read(p, size)
#define crypto_shash_export(desc, state)	(memset(state, 1, 88), 0)
#define shash_desc_zero(desc)			((void)(desc))
#define SHASH_DESC_ON_STACK(desc, tfm)				\
	struct shash_desc desc##_room = {}, *desc = &desc##_room
#define SYNC_SKCIPHER_REQUEST_ON_STACK(req, tfm)		\
	struct skcipher_request req##_room = {}, *req = &req##_room
#define sg_init_one(sg, p, size)		(*(sg) = (struct scatterlist) { p, size })
#define skcipher_request_set_sync_tfm(req, t)	((req)->tfm = (t))
#define skcipher_request_set_callback(...)	((void)0)
#define skcipher_request_set_crypt(req, s, d, size, iv)		\
	((req)->src = (s), (req)->dst = (d), (void)(size), (void)(iv))
#define skcipher_request_zero(req)		((void)(req))
int crypto_skcipher_encrypt(struct skcipher_request *req);
int fuzz_read(const void *p, size_t size);

/* -------------------------------------------------------------------------- tracepoints */

#define TRACE_EVENT(...)	struct fuzz_nothing
#define TRACE_DEFINE_ENUM(x)	struct fuzz_nothing
#define trace_ca_move(...)	((void)0)
#define trace_ca_base_move(...)	((void)0)

#endif /* FUZZ_KERNEL_H */
