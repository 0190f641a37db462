/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures that the parts of dm-crypt-async share, who may touch what and when, and the
 * functions that cross files, sectioned by the file that holds them. Calls go down only:
 *
 *	target calls after_map, io, meta, key, cipher and table
 *	after_map calls io, later
 *	io calls crypt, meta, pages, watchdog and dispatch; ca_io_move() is everybody's
 *	crypt calls cipher, iv, watchdog and dispatch
 *	key and watchdog call the cipher's part
 *	cipher calls iv, and the generators ask it for names and sizes
 *
 * and up only when something completes. "Sector" is always 512 bytes; a "unit" is one encryption
 * sector (sector_size: 512 to 4096 bytes), which has one IV and takes one crypto request.
 * docs/design.md has the words and the pictures.
 */
#ifndef DM_CRYPT_ASYNC_H
#define DM_CRYPT_ASYNC_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blk_types.h>
#include <linux/ctype.h>
#include <linux/device-mapper.h>
#include <linux/interrupt.h>
#include <linux/llist.h>
#include <linux/ktime.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <crypto/aead.h>
#include <crypto/skcipher.h>

#include "src/choose.h"
#include "src/trace.h"

#define CA_NAME			"crypt-async"
#define CA_OWN_NAME		"crypt"	/* the kernel's own target; see replace_dm_crypt */
#define CA_VERSION_MAJOR	0
#define CA_VERSION_MINOR	1
#define CA_VERSION_PATCH	0
#define CA_VERSION		__stringify(CA_VERSION_MAJOR) "." \
				__stringify(CA_VERSION_MINOR) "." \
				__stringify(CA_VERSION_PATCH)

/* Whether it begins as a decimal number: kstrtouint() and the like would take a plus as well. */
static inline bool ca_is_number(const char *s)
{
	return isdigit(*s);
}

/* Whether a table line can have it as it is: words end at spaces, and backslashes vanish. */
static inline bool ca_is_word(const char *s)
{
	while (*s && *s != '\\' && !isspace(*s))
		s++;
	return !*s;
}

#define CA_MAX_UNIT		4096	/* bytes; a unit lies in one bounce page */
#define CA_MAX_KEYS		65536	/* keys of one device, a power of two */
#define CA_LMK_KEYS		64	/* keys of the generator lmk */
#define CA_MAX_META		480	/* bytes of metadata that a unit may ask for */

/*
 * A unit whose memory comes in more pieces than this is refused: two for one that begins within a
 * page and ends in another one. dm-crypt wants one piece.
 */
#define CA_UNIT_PIECES		2

struct ca_cipher;
struct ca_device;
struct ca_magazine;
struct ca_request;
struct ca_worker;
struct dm_crypt_io;

/* ---------------------------------------------------------------------- iv */

/**
 * struct ca_unit - what an IV generator gets to see of a unit
 * @iv: where the IV goes, ca_cipher.iv_size bytes
 * @sector: the unit's first sector plus iv_offset, in units if iv_large_sectors
 * @write: it is about to be encrypted, or has been
 * @data: its bytes, for a generator that looks at them; else NULL
 * @scratch: ca_iv_ops.scratch bytes that stay from @generate to @finish
 */
struct ca_unit {
	u8 *iv;
	u64 sector;
	bool write;
	u8 *data;
	u8 *scratch;
};

/**
 * struct ca_iv_ops - one IV generator
 * @name: as in the table line, between the mode and the options
 * @looks_at_data: @generate and @finish read or change the unit's bytes. Then these lie in one
 *	piece, and a write is converted in place, in its bounce page
 * @scratch: bytes for each unit
 * @init: checks the options and the cipher it is used with, takes its part of the key's bytes
 *	(ca_key.parts, ca_key.extra) and allocates ca_cipher.iv_state; @opts is NULL where the table
 *	line has none.
 *	Return: NULL or what is wrong, for the user, with @err set; then nothing is left to undo
 * @exit: undoes that, the key already wiped
 * @set_key: takes its part of ca_cipher.key. Return: 0 or a negative errno
 * @wipe: forgets it
 * @generate: writes the IV, before the unit is converted; any context but hard interrupt, but a
 *	task's if @looks_at_data. Return: 0 or a negative errno
 * @finish: if @looks_at_data, for each unit that was generated, with the outcome of its conversion:
 *	0 or a negative errno; any context. Return: the outcome of both
 *
 * Formats: Documentation/admin-guide/device-mapper/dm-crypt.rst. None of the operations is NULL.
 */
struct ca_iv_ops {
	const char *name;
	bool looks_at_data;
	unsigned int scratch;
	const char *(*init)(struct ca_device *ca, const char *opts, int *err);
	void (*exit)(struct ca_cipher *cipher);
	int (*set_key)(struct ca_cipher *cipher);
	void (*wipe)(struct ca_cipher *cipher);
	int (*generate)(const struct ca_device *ca, struct ca_unit *unit);
	int (*finish)(const struct ca_device *ca, struct ca_unit *unit, int err);
};

const char *ca_iv_init(struct ca_device *ca, const char *mode, const char *opts, int *err);
extern const struct ca_iv_ops ca_iv_lmk;
extern const struct ca_iv_ops ca_iv_tcw;
extern const struct ca_iv_ops ca_iv_eboiv;
extern const struct ca_iv_ops ca_iv_elephant;

/* For generators without state, or without use for their key or the data. */
const char *ca_iv_init_nothing(struct ca_device *ca, const char *opts, int *err);
void ca_iv_exit_nothing(struct ca_cipher *cipher);
int ca_iv_set_no_key(struct ca_cipher *cipher);
void ca_iv_wipe_nothing(struct ca_cipher *cipher);
int ca_iv_finish_nothing(const struct ca_device *ca, struct ca_unit *unit, int err);

/* ------------------------------------------------------------------ cipher */

/**
 * struct ca_key - the key and how it is divided
 * @bytes: all of it. Kept for the status line of a hexadecimal key; zeros where it came from a
 *	keyring or has been wiped
 * @size: bytes in all; never changes
 * @parts: equal parts, as measured by IMA: one for each transform and what an IV generator adds
 * @extra: bytes at its end that belong to the IV generator
 * @mac: bytes at the end of a transform's share that authenticate
 * @ref: where in a keyring it came from, "<type>:<description>", NULL for a hexadecimal key
 * @valid: the transforms have it
 *
 * Changes at run time by message only, while the device is suspended; then protected by
 * ca_device.key_lock.
 */
struct ca_key {
	u8 *bytes;
	unsigned int size;
	unsigned int parts;
	unsigned int extra;
	unsigned int mac;
	char *ref;
	bool valid;
};

/**
 * struct ca_cipher - the transforms of a device and the layout of their requests; immutable after
 * ctr, but for the key
 * @aead: the transform of an authenticated cipher, else NULL
 * @tfms: the transforms of another cipher, else NULL; unit n takes number n modulo @tfm_count
 * @tfm_count: a power of two, 1 for an authenticated cipher
 * @key: the key
 * @spec: the first argument of the table line, as it was given
 * @iv_size: bytes of the IV's memory, 0 for a cipher without IV
 * @iv_align: of the IV's address, minus one
 * @request_size: bytes of a &struct ca_request with everything that follows it
 * @iv_ops: the IV generator; the one that does nothing for a cipher without IV
 * @iv_state: the generator's own
 * @benbi_shift: log2 of blocks in a sector, for the benbi generator
 * @stores_iv: the IV is random; it is written to the unit's metadata, behind the tag
 * @tag_size: bytes of the authentication tag at the beginning of the metadata, 0 for none
 * @simple: a unit needs an IV from its sector's number, and nothing else
 * @in_place: a write is copied to its bounce pages and converted there: the IV generator looks at
 *	the data, or what is authenticated must be what is stored even if the writer changes his
 *	memory meanwhile
 */
struct ca_cipher {
	struct crypto_aead *aead;
	struct crypto_skcipher **tfms;
	unsigned int tfm_count;
	struct ca_key key;
	char *spec;
	unsigned int iv_size;
	unsigned int iv_align;
	unsigned int request_size;
	const struct ca_iv_ops *iv_ops;
	void *iv_state;
	unsigned int benbi_shift;
	bool stores_iv;
	unsigned int tag_size;
	bool simple;
	bool in_place;
};

/**
 * struct ca_request - one request to the crypto driver, for one unit
 * @io: the fragment that the unit belongs to
 * @sector: of the unit, as its IV counts
 * @tag: the unit's metadata, NULL on a device without
 * @in: the unit's source; with an authenticated cipher, between associated data and tag
 * @out: the unit's destination; unused when it is converted in place
 * @tail: IV, associated data, the IV generator's scratch, and the crypto request with the driver's
 *	context, as ca_request_iv() and its siblings find them
 *
 * While the driver owns the request (-EINPROGRESS or -EBUSY was returned, the result has not
 * come) nobody else reads, reuses or frees it.
 */
struct ca_request {
	struct dm_crypt_io *io;
	u64 sector;
	u8 *tag;
	struct scatterlist in[CA_UNIT_PIECES + 2];
	struct scatterlist out[CA_UNIT_PIECES];
	u8 tail[];
};

static inline u8 *ca_request_iv(const struct ca_cipher *cipher, struct ca_request *r)
{
	return PTR_ALIGN(&r->tail[0], cipher->iv_align + 1);
}

/* The sector number and the IV, which an authenticated cipher covers as well. */
static inline u8 *ca_request_aad(const struct ca_cipher *cipher, struct ca_request *r)
{
	return ca_request_iv(cipher, r) + cipher->iv_size;
}

static inline unsigned int ca_aad_size(const struct ca_cipher *cipher)
{
	return cipher->aead ? sizeof(__le64) + cipher->iv_size : 0;
}

static inline u8 *ca_request_scratch(const struct ca_cipher *cipher, struct ca_request *r)
{
	return ca_request_aad(cipher, r) + ca_aad_size(cipher);
}

/* A struct skcipher_request or aead_request. */
static inline void *ca_request_crypto(const struct ca_cipher *cipher, struct ca_request *r)
{
	return PTR_ALIGN(ca_request_scratch(cipher, r) + cipher->iv_ops->scratch, CRYPTO_MINALIGN);
}

const char *ca_cipher_init(struct ca_device *ca, const char *spec, int *err);
void ca_cipher_exit(struct ca_cipher *cipher);
int ca_cipher_set_key(struct ca_cipher *cipher);
int ca_cipher_set_tag_size(struct ca_cipher *cipher, unsigned int size);
unsigned int ca_cipher_block_size(const struct ca_cipher *cipher);
const char *ca_cipher_name(const struct ca_cipher *cipher);
const char *ca_cipher_driver(const struct ca_cipher *cipher);

/* ------------------------------------------------------------------- stats */

/* What is counted, per CPU; names in ca_stat_names[] of stats.c. */
enum ca_stat {
	CA_STAT_READS,		/* base bios */
	CA_STAT_WRITES,
	CA_STAT_READ_BYTES,	/* what these asked for */
	CA_STAT_WRITTEN_BYTES,
	CA_STAT_INLINE,		/* fragments converted by who cut them, but for: */
	CA_STAT_QUEUED,		/* fragments converted by a worker, to which they were left */
	CA_STAT_DEFERRED,	/* reads that an interrupt left to a worker, to be cut there */
	CA_STAT_PARKED,		/* times that a fragment waited for the crypto driver or a worker */
	CA_STAT_RESUMED,
	CA_STAT_TRIMMED,	/* write fragments that got fewer pages than they wanted */
	CA_STAT_WAITED,		/* cutters that had to be handed to a worker, for memory */
	CA_STAT_REFUSED,	/* units that failed, since the crypto driver failed them */
	CA_STAT_FORGED,		/* units whose tag did not match, read twice */
	CA_STAT_OVERDUE,	/* fragments that the driver left unanswered for too long */
	CA_STAT_ERRORS,		/* base bios ended with an error */
	CA_STAT_COUNT
};

struct ca_stats {
	u64 value[CA_STAT_COUNT];
};

#define ca_count(ca, what) this_cpu_inc((ca)->stats->value[what])
#define ca_count_bytes(ca, what, n) this_cpu_add((ca)->stats->value[what], n)

u64 ca_stats_sum(const struct ca_device *ca, enum ca_stat what);
unsigned int ca_stats_emit(const struct ca_device *ca, char *result, unsigned int maxlen);

/* ----------------------------------------------------------------- latency */

/* What a fragment spends its time with. */
enum ca_phase {
	CA_PHASE_QUEUE,		/* waits for a worker or a soft interrupt */
	CA_PHASE_CONVERT,	/* is converted, waiting for the crypto driver included */
	CA_PHASE_DEVICE,	/* is with the device below; a read as a whole */
	CA_PHASES
};

/* Bucket 0 counts what took less than 1024 ns, bucket n what took less than 1024 << n. */
#define CA_BUCKET_SHIFT	10
#define CA_BUCKETS	24	/* the last one counts all the rest: 4.3 s and more */

struct ca_latency {
	u64 count[2][CA_PHASES][CA_BUCKETS];	/* READ, WRITE */
};

int ca_latency_message(struct ca_device *ca, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen);
void ca_latency_end(const struct dm_crypt_io *io, enum ca_phase phase, u64 since);
void ca_latency_exit(struct ca_device *ca);

/* ------------------------------------------------------------------- table */

/*
 * The user's options, as bits of ca_device.options. What the run time wants to remember goes
 * elsewhere.
 */
enum ca_option {
	CA_OPT_ALLOW_DISCARDS,
	CA_OPT_SAME_CPU_CRYPT,
	CA_OPT_HIGH_PRIORITY,
	CA_OPT_SUBMIT_FROM_CRYPT_CPUS,
	CA_OPT_NO_READ_WORKQUEUE,
	CA_OPT_NO_WRITE_WORKQUEUE,
	CA_OPT_INTEGRITY,
	CA_OPT_SECTOR_SIZE,
	CA_OPT_IV_LARGE_SECTORS,
	CA_OPT_INTEGRITY_KEY_SIZE,
};

/**
 * struct ca_device - a target: one line of a mapped device's table
 *
 * Immutable after ctr, read without a lock:
 * @ti: the device-mapper's side of it
 * @dev: the device below
 * @start: where the data begins on it, in sectors
 * @iv_offset: added to the sector number before an IV is made, in sectors
 * @options: bits of enum ca_option
 * @unit_size: bytes
 * @unit_shift: log2 of sectors in a unit
 * @cipher: transforms and key
 * @meta_used: bytes of metadata that a unit needs, as the option integrity says; 0 without it
 * @meta_size: bytes of metadata that the device below has for a unit, 0 if none is used
 * @meta_type: "aead" or "none", as the option was written
 * @authenticated: the option integrity asks for an authenticated cipher
 * @in_order: a zoned device: writes reach the device below in the order in which they came
 * @after_map: a disk from which its writes come back when map has returned, or NULL
 * @most_sectors: the most that one base bio may have, since its metadata must lie in one page; 0
 *	for no such bound
 * @page_reserve: bounce pages that it holds always
 * @stays: READ, WRITE: the user's options keep a conversion where it is
 * @worker_only: READ, WRITE: only a worker can do it, see choose.h
 *
 * Settings that messages change at any time (tune.c), each read once where it matters:
 * @fragment_bytes: the most that one fragment converts, a multiple of the unit size
 * @inline_bytes: the largest read that is converted in an interrupt, if that takes no longer than
 *	INLINE_NS
 * @page_limit: bounce pages that this device may hold, the reserve included
 * @worker_count: workers; one for each CPU that they may run on
 *
 * Guesses that anybody may change:
 * @kib_ns: how long a soft interrupt lately took to convert a KiB, in ns; 0 as long as none has,
 *	as with a driver that answers later
 * @wake_ns: how long an interrupt lately took to wake a worker, in ns; 0 as long as none has
 *
 * Safe for any context by themselves:
 * @metas: pages with the metadata of a base bio's units; empty where meta_size is 0
 * @bios: clones
 * @fragments: dm_crypt_ios beyond the base ios
 * @pages: the reserve of bounce pages; in order behind @bios, @fragments, @metas (see io.c on
 *	waiting)
 * @pages_held: bounce pages taken from the allocator
 * @pages_giver: a CPU that gave some back lately
 * @magazines: pages that wait for the next write
 * @shrinker: takes them away
 * @whole_lock: held by the one who waits for pages while he holds some
 * @cut_wq: cutters; these may wait for any of the above
 * @io_wq: everything that a fragment needs to come to its end; never waits for any of the above
 * @cutters: base bios whose rest is cut by a worker
 * @stats: counters
 * @latency: histograms, NULL until they were switched on for the first time
 * @measures_latency: they are on
 *
 * For writes that keep their order, used only if @in_order:
 * @order_lock: protects the others; taken in any context
 * @order: write fragments that have been cut and not yet submitted, the oldest first
 * @submitting: a thread submits from the head of it
 * @order_work: does that
 *
 * For the workers:
 * @todo_lock: protects the others; taken in any context. The numbers are read without it where a
 *	guess does
 * @small: small fragments that wait for a worker
 * @large: others
 * @backlog: bytes of both
 * @turn: small ones taken since the last large one
 * @workers: one for each possible CPU
 * @running: those that are at work or have been woken
 * @busy_since: when no CPU was idle, and so nothing is shared for a while, in jiffies
 * @pinned: workers are bound to CPUs
 * @cpus: what is known of each CPU
 * @bound_wq: for workers that are bound to CPUs
 *
 * For messages:
 * @key_lock: protects the other, the key (@cipher.key) and changes of settings; taken by messages,
 *	the table line, suspend and resume
 * @suspended: nothing is in flight, and messages may replace the key
 *
 * The watchdog's:
 * @watch_lock: protects the list and the membership of a fragment in it; taken in any context
 * @watched: fragments that have had a request with the crypto driver
 * @watchdog: looks through the list; asleep while it is empty
 */
struct ca_device {
	struct dm_target *ti;
	struct dm_dev *dev;
	sector_t start;
	u64 iv_offset;
	unsigned long options;
	unsigned int unit_size;
	unsigned int unit_shift;
	struct ca_cipher cipher;
	unsigned int meta_used;
	unsigned int meta_size;
	char meta_type[8];
	bool authenticated;
	unsigned int most_sectors;
	bool in_order;
	struct gendisk *after_map;
	unsigned int page_reserve;
	bool stays[2];
	bool worker_only[2];

	unsigned int fragment_bytes;
	unsigned int inline_bytes;
	unsigned int kib_ns;
	unsigned int wake_ns;
	unsigned int page_limit;
	unsigned int worker_count;

	mempool_t metas;
	struct bio_set bios;
	mempool_t fragments;
	mempool_t pages;
	atomic_t pages_held;
	unsigned int pages_giver;
	struct ca_magazine __percpu *magazines;
	struct ca_shrinker shrinker;
	struct mutex whole_lock;	/* see pages.c */
	atomic_t cutters;
	struct workqueue_struct *cut_wq;
	struct workqueue_struct *io_wq;
	struct workqueue_struct *bound_wq;
	struct ca_stats __percpu *stats;
	struct ca_latency __percpu *latency;
	bool measures_latency;

	spinlock_t todo_lock;	/* see above, any context */
	struct list_head small;
	struct list_head large;
	unsigned int backlog;
	unsigned int turn;
	struct ca_worker *workers;
	unsigned int running;
	unsigned long busy_since;
	bool pinned;
	struct ca_cpu __percpu *cpus;

	spinlock_t order_lock;	/* for order, any context */
	struct list_head order;
	bool submitting;
	struct work_struct order_work;

	struct mutex key_lock;	/* see above */
	bool suspended;

	spinlock_t watch_lock;	/* for watched, any context */
	struct list_head watched;
	struct delayed_work watchdog;
};

/* The generator plain64, for which there is no time for an indirect call. */
static inline void ca_iv_put_plain64(const struct ca_device *ca, u8 *iv, u64 sector)
{
	const unsigned int size = ca->cipher.iv_size;

	if (size == 2 * sizeof(u64))
		memset(iv + sizeof(u64), 0, sizeof(u64));
	else
		memset(iv, 0, size);
	put_unaligned_le64(sector, iv);
}

int ca_iv_generate_plain64(const struct ca_device *ca, struct ca_unit *unit);

static inline bool ca_has(const struct ca_device *ca, enum ca_option option)
{
	return ca->options & BIT(option);
}

const char *ca_table_options(struct ca_device *ca, struct dm_arg_set *as);
unsigned int ca_table_emit(struct ca_device *ca, char *result, unsigned int maxlen);
unsigned int ca_table_measure(const struct ca_device *ca, char *result, unsigned int maxlen);

/* --------------------------------------------------------------------- key */

const char *ca_key_init(struct ca_key *key, char *text, int *err);
void ca_key_exit(struct ca_key *key);
const char *ca_key_load(struct ca_cipher *cipher, char *text, int *err);
int ca_key_message(struct ca_cipher *cipher, unsigned int argc, char **argv);
unsigned int ca_key_emit(struct ca_device *ca, char *result, unsigned int maxlen);

/* ------------------------------------------------------------------- crypt */

/* Whether a fragment's converter is at work, as convert_context.run. */
enum ca_run {
	CA_RUNNING,	/* it is, or is about to be */
	CA_KICKED,	/* it is, and what it may come to wait for has already happened */
	CA_PARKED,	/* nobody is; the one who moves it to CA_RUNNING queues the fragment */
};

/**
 * struct ca_position - the next unit of a conversion
 * @in: the source, and with its bi_size what is left
 * @out: the destination; unused when converting in place
 * @sector: the unit's first sector plus iv_offset
 * @tag: the unit's metadata, NULL on a device without
 */
struct ca_position {
	struct bvec_iter in;
	struct bvec_iter out;
	u64 sector;
	u8 *tag;
};

/**
 * struct convert_context - where a conversion stands; each fragment has its own, never two share
 * one
 *
 * Owned by the converter, the one thread that is in ca_convert(); passed on through @run:
 * @from: where the source's memory is listed
 * @to: where the destination's is; the same list when converting in place
 * @at: the next unit
 * @settled: requests that the converter itself knows to be over, not yet taken off @pending
 *
 * Shared with the crypto driver's callbacks:
 * @pending: one for the converter and one for each unit of the fragment that is not over. Set
 *	once, before the first request, so that a request costs no atomic operation unless its
 *	callback comes. Who takes it to zero ends the conversion, and nobody else touches the
 *	fragment any more.
 * @run: see enum ca_run
 * @awaited: the request that the converter submitted last, or the built-in one when it waits for
 *	that; what happens to it resumes a parked fragment
 * @own_busy: the request that is built into the fragment is with the driver
 * @error: the first error of this fragment, as a negative errno
 */
struct convert_context {
	const struct bio_vec *from;
	const struct bio_vec *to;
	struct ca_position at;
	unsigned int settled;

	atomic_t pending;
	atomic_t run;
	struct ca_request *awaited;
	unsigned long own_busy;
	int error;
};

bool ca_convert(struct dm_crypt_io *io, enum ca_caller caller);

/* ---------------------------------------------------------------------- io */

/* A write of at most so many pages needs no clone. */
#define CA_OWN_PAGES	8

/**
 * struct ca_bounce - bounce pages of a write fragment
 * @vecs: the list
 * @count: entries; blocks of pages have one
 * @bytes: what they are used for
 */
struct ca_bounce {
	struct bio_vec *vecs;
	unsigned int count;
	unsigned int bytes;
};

/*
 * What a fragment is doing. io.c has the list of legal moves.
 *
 * CA_NEW:	nothing has been cut for it; owns nothing
 * CA_READING:	(read base only) it, or its clone, is with the device below
 * CA_READ:	(read base only) the ciphertext is in the base bio, nobody converts it yet
 * CA_CUT:	it has its part of the base bio and, if a write, bounce pages for all of
 *	that part
 * CA_CONVERTING: a thread is in ca_convert(), or all of its requests are with the crypto driver
 * CA_PARKING:	it waits for the crypto driver, or for a worker that may sleep for the driver's
 *	memory; no thread is in ca_convert()
 * CA_CONVERTED: (write only) no request is with the driver, its pages hold the ciphertext
 * CA_WRITING:	(write only) these are with the device below
 * CA_ENDED:	it owns nothing but its reference on the base
 * CA_CHECKING:	(read base only) a worker reads it once more, one unit after the other
 */
enum ca_state {
	CA_NEW,
	CA_READING,
	CA_READ,
	CA_CUT,
	CA_CONVERTING,
	CA_PARKING,
	CA_CONVERTED,
	CA_WRITING,
	CA_ENDED,
	CA_CHECKING,
	CA_STATES
};

/**
 * struct dm_crypt_io - a fragment: one contiguous part of a base bio on its way through the cipher
 *
 * The base io lives in the base bio's per-bio data, has no @base_io, and is the first fragment of
 * its bio. Further ones come from ca_device.fragments.
 *
 * Set when it is cut, then constant:
 * @ca: the device
 * @base_io: the base io, NULL in the base io itself
 * @base_bio: what the block layer gave to map
 * @sector: where this part begins, relative to the target, in sectors
 * @clone: the write clone; NULL for a read, and for a write of which the base bio itself goes below
 * @bounce: a write's bounce pages
 * @waiter: a thread that waits for the end of the conversion and goes on itself, or NULL
 *
 * Owned by whoever moves the fragment on:
 * @state: see enum ca_state
 * @todo: in the list of fragments that wait for a worker
 * @work: that of a worker of its own, if it @sleeps
 * @completed: in the list of reads that wait for a soft interrupt
 * @sleeps: it may have to sleep for the crypto driver's memory, so nothing may wait behind it
 * @ctx: the conversion; see there for who owns what
 *
 * In ca_device.order, and protected by its lock:
 * @order_entry: the entry
 * @order_ready: converted, it can be submitted once it is the oldest
 *
 * For the watchdog; see watchdog.c:
 * @watch_entry: in ca_device.watched
 * @is_watched: it is there; owned by whoever moves the fragment on
 * @reported: the user has been told; protected by ca_device.watch_lock
 * @asked: when the converter handed the driver its last request, in jiffies
 * @bytes: what the fragment converts in all; of a read base that is not cut, all of it
 *
 * For the histograms, owned by whoever moves the fragment on; 0 while they are off:
 * @queued_at: when it was left to a worker or a soft interrupt, in ns
 * @since: when its conversion began, or it went to the device below, in ns
 *
 * In the base io only:
 * @cut_work: continues the cutter on cut_wq
 * @all: the base bio as it came
 * @rest: what has not been cut off the base bio yet; owned by the cutter
 * @rest_sector: where @rest begins; owned by the cutter
 * @least_part: if its fragments become smaller towards its end, the least of them, in bytes; or 0
 * @sharers: and which part of the rest each has
 * @own_bytes: what the cutter converted itself, if a task; written by the cutter, and of use where
 *	that is the submitter
 * @meta: the metadata of all units, NULL on a device without
 * @meta_pooled: that is a page of ca_device.metas
 * @started: the base io is in use as the first fragment; owned by the cutter
 * @mismatch: (read) a tag did not match, or the driver had no memory
 * @checks_again: (read) that is why a worker reads it all again, unit by unit
 * @accounted: bit 0, the base bio's I/O accounting has been started by one of the fragments
 * @refs: one for the cutter and one for each fragment in flight, the base io as one of them
 *	included; the last fragment takes over the cutter's, unless the cutter goes on with what it
 *	handed out. It holds the base bio: who drops the last one ends that bio, and with it the
 *	base io's memory is gone.
 * @status: the first error of any fragment. Written before the writer's reference is dropped,
 *	read after the last one was.
 * @end_io: of a base bio that goes below itself, what stood there before
 * @private: likewise
 * @vecs: likewise
 * @cpu: where it came from
 * @submitter: the task that it came from, to be compared only
 * @nice: of that task
 * @alone: nothing else from there was in flight when it came
 * @own_pages: its bounce pages, if it goes below itself
 *
 * @own: the request that every fragment can count on; last, since its size depends on the cipher
 */
struct dm_crypt_io {
	struct ca_device *ca;
	struct dm_crypt_io *base_io;
	struct bio *base_bio;
	sector_t sector;
	struct bio *clone;
	struct ca_bounce bounce;
	struct completion *waiter;

	enum ca_state state;
	union {
		struct list_head todo;
		struct work_struct work;
		struct llist_node completed;
	};
	bool sleeps;
	struct convert_context ctx;

	struct list_head order_entry;
	bool order_ready;

	struct list_head watch_entry;
	bool is_watched;
	bool reported;
	unsigned long asked;
	unsigned int bytes;

	u64 queued_at;
	u64 since;

	struct work_struct cut_work;
	struct bvec_iter all;
	struct bvec_iter rest;
	sector_t rest_sector;
	unsigned int least_part;
	unsigned int sharers;
	unsigned int own_bytes;
	u8 *meta;
	bool meta_pooled;
	bool started;
	bool mismatch;
	bool checks_again;
	unsigned long accounted;
	atomic_t refs;
	blk_status_t status;
	bio_end_io_t *end_io;
	void *private;
	struct bio_vec *vecs;
	struct ca_cpu *cpu;
	struct task_struct *submitter;
	int nice;
	bool alone;
	struct bio_vec own_pages[CA_OWN_PAGES];

	struct ca_request own;
};

static inline struct dm_crypt_io *ca_base(struct dm_crypt_io *io)
{
	return io->base_io ? io->base_io : io;
}

/* The time, for the histograms; 0 while they are off. */
static inline u64 ca_latency_begin(const struct dm_crypt_io *io)
{
	/* Pairs with the release in latency.c: who sees the switch sees the histograms. */
	return unlikely(smp_load_acquire(&io->ca->measures_latency)) ? ktime_get_ns() : 0;
}

/**
 * ca_convert_init() - points a fragment's conversion at its memory
 * @io: the fragment, with ca, base_bio and sector set
 * @bytes: what it converts, a multiple of the unit
 * @from: lists the source
 * @in: position there
 * @to: lists the destination, from its beginning; @from to convert in place
 * @tag: metadata of the first unit, the others' follow; NULL on a device without
 */
static inline void ca_convert_init(struct dm_crypt_io *io, unsigned int bytes,
				   const struct bio_vec *from, const struct bvec_iter *in,
				   const struct bio_vec *to, u8 *tag)
{
	struct convert_context *ctx = &io->ctx;

	ctx->from = from;
	ctx->to = to;
	ctx->at.in = *in;
	ctx->at.in.bi_size = bytes;
	if (to != from)
		ctx->at.out = (struct bvec_iter) { .bi_size = bytes };
	ctx->at.sector = io->sector + io->ca->iv_offset;
	ctx->at.tag = tag;
	ctx->settled = 0;
	atomic_set(&ctx->pending, (bytes >> (io->ca->unit_shift + SECTOR_SHIFT)) + 1);
	ctx->own_busy = 0;
	ctx->error = 0;
	io->own.io = io;
}

int ca_io_init(struct ca_device *ca);
void ca_io_exit(struct ca_device *ca);
void ca_io_map(struct ca_device *ca, struct bio *bio);
void ca_io_check_move(const struct dm_crypt_io *io, enum ca_state to);
void ca_io_converted(struct dm_crypt_io *io);
void ca_io_run(struct dm_crypt_io *io, enum ca_caller caller);

/*
 * Brings a fragment into its next state; the caller owns it. A move that is not in io.c's list is a
 * bug, which DEBUG=y reports.
 */
static inline void ca_io_move(struct dm_crypt_io *io, enum ca_state to)
{
#ifdef CA_DEBUG
	ca_io_check_move(io, to);
#endif
	trace_ca_move(io, io->state, to);
	io->state = to;
}

/* --------------------------------------------------------------- after_map */

int ca_after_map_init(struct ca_device *ca);
void ca_after_map_exit(struct ca_device *ca);

/* -------------------------------------------------------------------- meta */

const char *ca_meta_init(struct ca_device *ca, int *err);
void ca_meta_exit(struct ca_device *ca);
bool ca_meta_get(struct dm_crypt_io *base, gfp_t gfp);
void ca_meta_put(struct dm_crypt_io *base);
u8 *ca_meta_of(const struct dm_crypt_io *base, sector_t sector);
bool ca_meta_reserve(const struct ca_device *ca, struct bio *clone, gfp_t gfp);
int ca_meta_attach(const struct ca_device *ca, struct bio *clone, u8 *meta);
void ca_report_forgery(struct dm_crypt_io *base);

/* ---------------------------------------------------------------- watchdog */

void ca_watchdog_init(struct ca_device *ca);
void ca_watchdog_exit(struct ca_device *ca);
void ca_watch(struct dm_crypt_io *io);
void ca_watch_no_more(struct dm_crypt_io *io);

/* The fragment is over. */
static inline void ca_unwatch(struct dm_crypt_io *io)
{
	if (io->is_watched)
		ca_watch_no_more(io);
}

/* ------------------------------------------------------------------- pages */

int ca_pages_init(struct ca_device *ca);
void ca_pages_exit(struct ca_device *ca);
bool ca_pages_fill(struct ca_device *ca, struct ca_bounce *bounce, unsigned int bytes,
		   bool may_wait);
bool ca_pages_fill_all(struct ca_device *ca, struct ca_bounce *bounce, unsigned int bytes,
		       bool may_wait);
void ca_pages_free(struct ca_device *ca, struct ca_bounce *bounce, bool clear);
unsigned int ca_pages_most(const struct ca_device *ca);
unsigned int ca_pages_cached(const struct ca_device *ca);
void ca_pages_set_limit(struct ca_device *ca, unsigned int limit);
void ca_pages_trim(struct ca_device *ca);

/* ---------------------------------------------------------------- dispatch */

/**
 * struct ca_cpu - what is known of a CPU, for one device
 * @depth: base bios that came from it and have not ended
 * @most: the most that @depth has been
 * @deep: so many more are taken as if another one was in flight
 * @singles: base bios that came one by one since one was given to a worker
 * @gap: how many must have come before the next is
 * @probed: when the last one was, in jiffies
 * @completed: reads that wait for @softirq
 * @softirq: goes on with them
 *
 * Used by tasks that run there, without a lock: a number that is lost when they change CPU in
 * between does no harm. But @depth is exact.
 */
struct ca_cpu {
	atomic_t depth;
	unsigned int most;
	unsigned int deep;
	unsigned int singles;
	unsigned int gap;
	unsigned long probed;
	struct llist_head completed;
	struct tasklet_struct softirq;
};

int ca_dispatch_init(struct ca_device *ca);
void ca_dispatch_exit(struct ca_device *ca);
void ca_dispatch_reset(struct ca_device *ca);
void ca_dispatch_set_cpus(struct ca_device *ca, const struct cpumask *mask);
unsigned int ca_dispatch_emit_cpus(const struct ca_device *ca, char *result, unsigned int maxlen);
unsigned int ca_dispatch_emit_depth(const struct ca_device *ca, char *result, unsigned int maxlen);
void ca_enter(struct dm_crypt_io *base);

/* A base bio is about to end. */
static inline void ca_leave(struct dm_crypt_io *base)
{
	atomic_dec(&base->cpu->depth);
}

/* What is known of the context in which a read completes. */
static inline enum ca_caller ca_caller(const struct dm_crypt_io *base)
{
	if (in_hardirq() || irqs_disabled())
		return CA_FROM_HARDIRQ;
	return in_task() && base->submitter == current ? CA_FROM_SUBMITTER : CA_FROM_SOFTIRQ;
}

enum ca_place ca_place(struct dm_crypt_io *io, enum ca_caller caller, bool more);
enum ca_place ca_place_read(const struct dm_crypt_io *base, enum ca_caller caller, bool final,
			    u64 now);
void ca_spend(const struct dm_crypt_io *io, u64 since);
void ca_be_nice(const struct dm_crypt_io *base, int own);
void ca_be_oneself(int own);
void ca_queue_cutter(struct dm_crypt_io *base);
void ca_queue_fragment(struct dm_crypt_io *io);
unsigned int ca_part(const struct dm_crypt_io *base);
struct dm_crypt_io *ca_take_back(const struct dm_crypt_io *base, enum ca_caller caller);
void ca_queue_softirq(struct dm_crypt_io *base);
void ca_queue_order(struct ca_device *ca);

/* -------------------------------------------------------------------- tune */

void ca_tune_reset(struct ca_device *ca);
int ca_tune_message(struct ca_device *ca, unsigned int argc, char **argv);
unsigned int ca_tune_emit(const struct ca_device *ca, char *result, unsigned int maxlen);

#endif /* DM_CRYPT_ASYNC_H */
