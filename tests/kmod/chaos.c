// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mock crypto driver for tests: the template chaos(<algorithm>) over any skcipher.
 *
 * It answers asynchronously, from a worker, a softirq or a hard interrupt, after random times and
 * so in random order; has a queue of a chosen depth with a backlog; fails, withholds or loses a
 * chosen share of requests. Knobs and counters are in debugfs, under chaos/; README.md lists them.
 *
 * A request's way:
 *
 *	submit -> active, or, if the queue is full, backlog (-EBUSY) -> active (-EINPROGRESS)
 *	active -> held while the knob "hold" is set -> converted by a worker -> answered
 *
 * engine.lock protects the lists and engine.active, and is never held across a callback. The
 * driver has the request's memory from submit until it calls the final callback, and does not
 * touch it afterwards.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include <crypto/algapi.h>

#define LOGGED_IV	16	/* bytes of the IV that the log of failures shows */
#define LOGGED_MAX	8192	/* failures that the log holds */

/* Where callbacks come from: the knob "complete". */
enum { FROM_WORKER, FROM_SOFTIRQ, FROM_HARDIRQ, FROM_ANY };

/* Where a request chosen to fail does so: the knob "fail_where". */
enum { FAIL_SUBMIT, FAIL_COMPLETE };

static u32 complete_from = FROM_WORKER;
static u32 depth = 1000;
static u32 delay_us = 100;
static bool reorder = true;
static u32 sync_permille;
static u32 fail_permille;
static u32 fail_errno = EIO;
static u32 fail_where = FAIL_COMPLETE;
static u32 lose_permille;
static u32 nomem_permille;
static u32 wrong_permille;
static u32 seed = 1;

enum counter {
	SUBMITTED, SYNC, COMPLETED, BUSY, REFUSED, FAILED, LOST, OUT_OF_ORDER, MAX_IN_FLIGHT,
	FROM_WORKERS, FROM_SOFTIRQS, FROM_HARDIRQS, NO_MEMORY, WRONG,
	COUNTERS
};

static const char * const counter_names[COUNTERS] = {
	"submitted", "sync", "completed", "busy", "refused", "failed", "lost", "out_of_order",
	"max_in_flight", "from_worker", "from_softirq", "from_hardirq", "no_memory", "wrong"
};

static atomic64_t counters[COUNTERS];

struct failure {
	bool encrypt;
	int err;
	u8 iv[LOGGED_IV];
};

/* Protected by @lock, but for the counters. */
static struct {
	spinlock_t lock;	/* for what follows, up to the counters; any context */
	struct list_head backlog;
	struct list_head held;
	struct list_head lost;
	unsigned int active;
	bool hold;
	u64 newest;			/* ticket of the youngest request answered */
	struct failure *failures;
	unsigned int failure_count;	/* ever; those beyond LOGGED_MAX are dropped */

	atomic64_t tickets;
	struct workqueue_struct *many;	/* runs requests side by side */
	struct workqueue_struct *one;	/* runs them in order, for reorder=0 */
} engine;

struct chaos_tfm {
	struct crypto_skcipher *inner;
};

/* In the request's context. */
struct chaos_request {
	struct skcipher_request *outer;
	struct list_head entry;
	struct work_struct work;
	struct hrtimer timer;
	u64 ticket;
	u64 dice;
	bool encrypt;
	int err;
	u8 iv[LOGGED_IV];
	struct skcipher_request inner;	/* last: its context follows */
};

/* ------------------------------------------------------------------------------- dice */

/* A number that depends on the seed and the request's place in line alone (splitmix64). */
static u64 roll(u64 ticket)
{
	u64 z = ((u64)READ_ONCE(seed) << 32) + ticket * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* One of several independent draws from a request's dice, below @n. */
static u32 draw(const struct chaos_request *r, unsigned int which, u32 n)
{
	return (u64)hash_32((u32)(r->dice >> (which * 8)), 24) * n >> 24;
}

static bool happens(const struct chaos_request *r, unsigned int which, u32 permille)
{
	return draw(r, which, 1000) < permille;
}

/* ---------------------------------------------------------------------------- failing */

static void log_failure(struct chaos_request *r, int err)
{
	unsigned long flags;
	struct failure *f;

	atomic64_inc(&counters[FAILED]);
	spin_lock_irqsave(&engine.lock, flags);
	if (engine.failure_count++ < LOGGED_MAX) {
		f = &engine.failures[engine.failure_count - 1];
		f->encrypt = r->encrypt;
		f->err = err;
		memcpy(f->iv, r->iv, sizeof(f->iv));
	}
	spin_unlock_irqrestore(&engine.lock, flags);
}

/* -------------------------------------------------------------------------- answering */

static void run(struct chaos_request *r)
{
	queue_work(READ_ONCE(reorder) ? engine.many : engine.one, &r->work);
}

/* The request has its place in the queue: converts it, unless it is held. */
static void start(struct chaos_request *r)
{
	unsigned long flags;
	bool hold;

	spin_lock_irqsave(&engine.lock, flags);
	hold = engine.hold;
	if (hold)
		list_add_tail(&r->entry, &engine.held);
	spin_unlock_irqrestore(&engine.lock, flags);
	if (!hold)
		run(r);
}

/* Takes the oldest request from the backlog into the queue, if there is room. */
static struct chaos_request *move_up(void)
{
	struct chaos_request *next;

	lockdep_assert_held(&engine.lock);
	next = list_first_entry_or_null(&engine.backlog, struct chaos_request, entry);
	if (!next || engine.active >= max(READ_ONCE(depth), 1U))
		return NULL;
	list_del(&next->entry);
	engine.active++;
	return next;
}

static void tell_moved_up(struct chaos_request *next)
{
	crypto_request_complete(&next->outer->base, -EINPROGRESS);
	start(next);
}

/* The final callback; in the context that was chosen, with bottom halves off. */
static void answer(struct chaos_request *r, enum counter from)
{
	bool own_first = r->dice >> 63;
	struct chaos_request *next;
	unsigned long flags;

	atomic64_inc(&counters[COMPLETED]);
	atomic64_inc(&counters[from]);
	spin_lock_irqsave(&engine.lock, flags);
	engine.active--;
	next = move_up();
	if (r->ticket < engine.newest)
		atomic64_inc(&counters[OUT_OF_ORDER]);
	else
		engine.newest = r->ticket;
	spin_unlock_irqrestore(&engine.lock, flags);

	if (next && !own_first)
		tell_moved_up(next);
	crypto_request_complete(&r->outer->base, r->err);
	if (next && own_first)
		tell_moved_up(next);
}

static enum hrtimer_restart answer_softirq(struct hrtimer *timer)
{
	answer(container_of(timer, struct chaos_request, timer), FROM_SOFTIRQS);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart answer_hardirq(struct hrtimer *timer)
{
	answer(container_of(timer, struct chaos_request, timer), FROM_HARDIRQS);
	return HRTIMER_NORESTART;
}

/* Answers the converted request from where the knob says, after its share of delay_us. */
static void answer_later(struct chaos_request *r)
{
	u32 from = READ_ONCE(complete_from);
	u32 wait = draw(r, 0, READ_ONCE(delay_us));

	if (from >= FROM_ANY)
		from = draw(r, 1, FROM_ANY);
	if (from == FROM_WORKER) {
		if (wait)
			usleep_range(wait, wait + 1);
		local_bh_disable();
		answer(r, FROM_WORKERS);
		local_bh_enable();
		return;
	}
	if (from == FROM_SOFTIRQ)
		hrtimer_setup(&r->timer, answer_softirq, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	else
		hrtimer_setup(&r->timer, answer_hardirq, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&r->timer, ns_to_ktime(wait * 1000ULL),
		      from == FROM_SOFTIRQ ? HRTIMER_MODE_REL_SOFT : HRTIMER_MODE_REL);
}

static bool lose(struct chaos_request *r)
{
	unsigned long flags;

	if (!happens(r, 2, READ_ONCE(lose_permille)))
		return false;
	atomic64_inc(&counters[LOST]);
	spin_lock_irqsave(&engine.lock, flags);
	list_add_tail(&r->entry, &engine.lost);
	spin_unlock_irqrestore(&engine.lock, flags);
	return true;
}

/* As a driver that is wrong: one byte of what it converted is another one. */
static void spoil(struct skcipher_request *outer)
{
	unsigned int nents = sg_nents(outer->dst);
	unsigned int at = outer->cryptlen / 2;
	u8 byte;

	sg_pcopy_to_buffer(outer->dst, nents, &byte, 1, at);
	byte ^= 1;
	sg_pcopy_from_buffer(outer->dst, nents, &byte, 1, at);
	atomic64_inc(&counters[WRONG]);
}

static int convert(struct chaos_request *r, u32 flags)
{
	struct skcipher_request *outer = r->outer;
	struct chaos_tfm *tfm = crypto_skcipher_ctx(crypto_skcipher_reqtfm(outer));
	int err;

	skcipher_request_set_tfm(&r->inner, tfm->inner);
	skcipher_request_set_callback(&r->inner, flags, NULL, NULL);
	skcipher_request_set_crypt(&r->inner, outer->src, outer->dst, outer->cryptlen, outer->iv);
	err = r->encrypt ? crypto_skcipher_encrypt(&r->inner) :
			   crypto_skcipher_decrypt(&r->inner);
	if (!err && happens(r, 6, READ_ONCE(wrong_permille)))
		spoil(outer);
	return err;
}

static void work(struct work_struct *work)
{
	struct chaos_request *r = container_of(work, struct chaos_request, work);

	if (!r->err)
		r->err = convert(r, CRYPTO_TFM_REQ_MAY_SLEEP);
	else
		log_failure(r, r->err);
	if (!lose(r))
		answer_later(r);
}

/* ------------------------------------------------------------------------- submitting */

static void note_max(unsigned int now)
{
	if (now > atomic64_read(&counters[MAX_IN_FLIGHT]))
		atomic64_set(&counters[MAX_IN_FLIGHT], now);
}

/* Return: -EINPROGRESS, -EBUSY for the backlog, or -ENOSPC. */
static int enqueue(struct chaos_request *r)
{
	int err = -EINPROGRESS;
	unsigned long flags;

	spin_lock_irqsave(&engine.lock, flags);
	if (engine.active < max(READ_ONCE(depth), 1U)) {
		note_max(++engine.active);
	} else if (r->outer->base.flags & CRYPTO_TFM_REQ_MAY_BACKLOG) {
		list_add_tail(&r->entry, &engine.backlog);
		atomic64_inc(&counters[BUSY]);
		err = -EBUSY;
	} else {
		atomic64_inc(&counters[REFUSED]);
		err = -ENOSPC;
	}
	spin_unlock_irqrestore(&engine.lock, flags);
	return err;
}

/* As a driver that allocates half way: some of its output is left behind. */
static int find_no_memory(struct chaos_request *r)
{
	static const u8 rubbish[64] = { 0xaa, 0x55 };

	sg_copy_from_buffer(r->outer->dst, sg_nents(r->outer->dst), rubbish,
			    min_t(size_t, sizeof(rubbish), r->outer->cryptlen));
	atomic64_inc(&counters[NO_MEMORY]);
	return -ENOMEM;
}

static int submit(struct skcipher_request *outer, bool encrypt)
{
	struct chaos_request *r = skcipher_request_ctx(outer);
	struct crypto_skcipher *tfm = crypto_skcipher_reqtfm(outer);
	int err;

	r->outer = outer;
	r->encrypt = encrypt;
	r->err = 0;
	r->ticket = atomic64_inc_return(&engine.tickets);
	r->dice = roll(r->ticket);
	memset(r->iv, 0, sizeof(r->iv));
	memcpy(r->iv, outer->iv, min_t(unsigned int, sizeof(r->iv), crypto_skcipher_ivsize(tfm)));
	INIT_WORK(&r->work, work);
	atomic64_inc(&counters[SUBMITTED]);

	if (!(outer->base.flags & CRYPTO_TFM_REQ_MAY_SLEEP) &&
	    happens(r, 5, READ_ONCE(nomem_permille)))
		return find_no_memory(r);
	if (happens(r, 3, READ_ONCE(fail_permille))) {
		r->err = -(int)READ_ONCE(fail_errno);
		if (READ_ONCE(fail_where) == FAIL_SUBMIT) {
			log_failure(r, r->err);
			return r->err;
		}
	} else if (happens(r, 4, READ_ONCE(sync_permille))) {
		atomic64_inc(&counters[SYNC]);
		return convert(r, outer->base.flags & CRYPTO_TFM_REQ_MAY_SLEEP);
	}

	err = enqueue(r);
	if (err == -EINPROGRESS)
		start(r);
	return err;
}

static int encrypt(struct skcipher_request *req)
{
	return submit(req, true);
}

static int decrypt(struct skcipher_request *req)
{
	return submit(req, false);
}

/* --------------------------------------------------------------------------- template */

static int set_key(struct crypto_skcipher *tfm, const u8 *key, unsigned int length)
{
	struct chaos_tfm *ctx = crypto_skcipher_ctx(tfm);

	crypto_skcipher_clear_flags(ctx->inner, CRYPTO_TFM_REQ_MASK);
	crypto_skcipher_set_flags(ctx->inner, crypto_skcipher_get_flags(tfm) & CRYPTO_TFM_REQ_MASK);
	return crypto_skcipher_setkey(ctx->inner, key, length);
}

static int init_tfm(struct crypto_skcipher *tfm)
{
	struct skcipher_instance *inst = skcipher_alg_instance(tfm);
	struct chaos_tfm *ctx = crypto_skcipher_ctx(tfm);

	ctx->inner = crypto_spawn_skcipher(skcipher_instance_ctx(inst));
	if (IS_ERR(ctx->inner))
		return PTR_ERR(ctx->inner);
	crypto_skcipher_set_reqsize(tfm, sizeof(struct chaos_request) +
				    crypto_skcipher_reqsize(ctx->inner));
	return 0;
}

static void exit_tfm(struct crypto_skcipher *tfm)
{
	struct chaos_tfm *ctx = crypto_skcipher_ctx(tfm);

	crypto_free_skcipher(ctx->inner);
}

static void free_instance(struct skcipher_instance *inst)
{
	crypto_drop_skcipher(skcipher_instance_ctx(inst));
	kfree(inst);
}

static void fill_instance(struct skcipher_instance *inst, chaos_inner_alg *inner)
{
	inst->alg.base.cra_flags |= CRYPTO_ALG_ASYNC;
	inst->alg.base.cra_priority = inner->base.cra_priority;
	inst->alg.base.cra_blocksize = inner->base.cra_blocksize;
	inst->alg.base.cra_alignmask = inner->base.cra_alignmask;
	inst->alg.base.cra_ctxsize = sizeof(struct chaos_tfm);
	inst->alg.ivsize = inner->ivsize;
	inst->alg.chunksize = inner->chunksize;
	inst->alg.min_keysize = inner->min_keysize;
	inst->alg.max_keysize = inner->max_keysize;
	inst->alg.setkey = set_key;
	inst->alg.encrypt = encrypt;
	inst->alg.decrypt = decrypt;
	inst->alg.init = init_tfm;
	inst->alg.exit = exit_tfm;
	inst->free = free_instance;
}

static int create(struct crypto_template *tmpl, struct rtattr **tb)
{
	struct crypto_skcipher_spawn *spawn;
	struct skcipher_instance *inst;
	chaos_inner_alg *inner;
	u32 mask;
	int err;

	err = crypto_check_attr_type(tb, CRYPTO_ALG_TYPE_SKCIPHER, &mask);
	if (err)
		return err;
	inst = kzalloc(sizeof(*inst) + sizeof(*spawn), GFP_KERNEL);
	if (!inst)
		return -ENOMEM;

	spawn = skcipher_instance_ctx(inst);
	err = crypto_grab_skcipher(spawn, skcipher_crypto_instance(inst),
				   crypto_attr_alg_name(tb[1]), 0, mask | CRYPTO_ALG_ASYNC);
	if (err)
		goto free;
	inner = chaos_inner(spawn);
	err = crypto_inst_setname(skcipher_crypto_instance(inst), "chaos", &inner->base);
	if (err)
		goto free;
	fill_instance(inst, inner);
	err = skcipher_register_instance(tmpl, inst);
	if (!err)
		return 0;
free:
	free_instance(inst);
	return err;
}

static struct crypto_template chaos_template = {
	.name	= "chaos",
	.create	= create,
	.module	= THIS_MODULE,
};

/* ---------------------------------------------------------------------------- debugfs */

/* Runs up to @n requests of a list that keeps them from it, or answers them if they were lost. */
static void release(struct list_head *list, u64 n)
{
	struct chaos_request *r;

	while (n--) {
		spin_lock_irq(&engine.lock);
		r = list_first_entry_or_null(list, struct chaos_request, entry);
		if (r)
			list_del(&r->entry);
		spin_unlock_irq(&engine.lock);
		if (!r)
			return;
		if (list == &engine.held)
			run(r);
		else
			answer_later(r);
	}
}

static int hold_get(void *data, u64 *value)
{
	*value = READ_ONCE(engine.hold);
	return 0;
}

static int hold_set(void *data, u64 value)
{
	spin_lock_irq(&engine.lock);
	engine.hold = value;
	spin_unlock_irq(&engine.lock);
	if (!value)
		release(&engine.held, U64_MAX);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(hold_fops, hold_get, hold_set, "%llu\n");

static int release_set(void *data, u64 value)
{
	release(data, value);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(release_fops, NULL, release_set, "%llu\n");

static unsigned int length_of(struct list_head *list)
{
	struct list_head *at;
	unsigned int n = 0;

	spin_lock_irq(&engine.lock);
	list_for_each(at, list)
		n++;
	spin_unlock_irq(&engine.lock);
	return n;
}

static int counters_show(struct seq_file *m, void *v)
{
	int i;

	for (i = 0; i < COUNTERS; i++)
		seq_printf(m, "%s %lld\n", counter_names[i], atomic64_read(&counters[i]));
	seq_printf(m, "active %u\n", READ_ONCE(engine.active));
	seq_printf(m, "backlogged %u\n", length_of(&engine.backlog));
	seq_printf(m, "held %u\n", length_of(&engine.held));
	seq_printf(m, "lost_now %u\n", length_of(&engine.lost));
	return 0;
}

static int counters_open(struct inode *inode, struct file *file)
{
	return single_open(file, counters_show, NULL);
}

/* Any write begins a new run: counters, the log of failures and the dice start again. */
static ssize_t counters_write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	int i;

	spin_lock_irq(&engine.lock);
	for (i = 0; i < COUNTERS; i++)
		atomic64_set(&counters[i], 0);
	atomic64_set(&engine.tickets, 0);
	engine.newest = 0;
	engine.failure_count = 0;
	spin_unlock_irq(&engine.lock);
	return size;
}

static const struct file_operations counters_fops = {
	.owner	 = THIS_MODULE,
	.open	 = counters_open,
	.read	 = seq_read,
	.write	 = counters_write,
	.llseek	 = seq_lseek,
	.release = single_release,
};

static int failures_show(struct seq_file *m, void *v)
{
	unsigned int n = READ_ONCE(engine.failure_count);
	unsigned int i;

	for (i = 0; i < min_t(unsigned int, n, LOGGED_MAX); i++)
		seq_printf(m, "%s %d %*phN\n", engine.failures[i].encrypt ? "encrypt" : "decrypt",
			   engine.failures[i].err, LOGGED_IV, engine.failures[i].iv);
	if (n > LOGGED_MAX)
		seq_printf(m, "dropped %u\n", n - LOGGED_MAX);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(failures);

static struct dentry *debugfs;

static void make_debugfs(void)
{
	debugfs = debugfs_create_dir("chaos", NULL);
	debugfs_create_u32("complete", 0600, debugfs, &complete_from);
	debugfs_create_u32("depth", 0600, debugfs, &depth);
	debugfs_create_u32("delay_us", 0600, debugfs, &delay_us);
	debugfs_create_bool("reorder", 0600, debugfs, &reorder);
	debugfs_create_u32("sync_permille", 0600, debugfs, &sync_permille);
	debugfs_create_u32("fail_permille", 0600, debugfs, &fail_permille);
	debugfs_create_u32("fail_errno", 0600, debugfs, &fail_errno);
	debugfs_create_u32("fail_where", 0600, debugfs, &fail_where);
	debugfs_create_u32("lose_permille", 0600, debugfs, &lose_permille);
	debugfs_create_u32("nomem_permille", 0600, debugfs, &nomem_permille);
	debugfs_create_u32("wrong_permille", 0600, debugfs, &wrong_permille);
	debugfs_create_u32("seed", 0600, debugfs, &seed);
	debugfs_create_file("hold", 0600, debugfs, NULL, &hold_fops);
	debugfs_create_file("release", 0200, debugfs, &engine.held, &release_fops);
	debugfs_create_file("release_lost", 0200, debugfs, &engine.lost, &release_fops);
	debugfs_create_file("counters", 0600, debugfs, NULL, &counters_fops);
	debugfs_create_file("failures", 0400, debugfs, NULL, &failures_fops);
}

/* ----------------------------------------------------------------------------- module */

static int __init chaos_init(void)
{
	int err = -ENOMEM;

	spin_lock_init(&engine.lock);
	INIT_LIST_HEAD(&engine.backlog);
	INIT_LIST_HEAD(&engine.held);
	INIT_LIST_HEAD(&engine.lost);

	engine.failures = kvcalloc(LOGGED_MAX, sizeof(*engine.failures), GFP_KERNEL);
	if (!engine.failures)
		return -ENOMEM;
	engine.many = alloc_workqueue("chaos", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!engine.many)
		goto free_failures;
	engine.one = alloc_ordered_workqueue("chaos_ordered", WQ_MEM_RECLAIM);
	if (!engine.one)
		goto destroy_many;
	err = crypto_register_template(&chaos_template);
	if (err)
		goto destroy_one;
	make_debugfs();
	return 0;

destroy_one:
	destroy_workqueue(engine.one);
destroy_many:
	destroy_workqueue(engine.many);
free_failures:
	kvfree(engine.failures);
	return err;
}
module_init(chaos_init);

/* Transforms hold the module, and requests their transform's user: nothing is in flight here. */
static void __exit chaos_exit(void)
{
	debugfs_remove_recursive(debugfs);
	crypto_unregister_template(&chaos_template);
	destroy_workqueue(engine.one);
	destroy_workqueue(engine.many);
	kvfree(engine.failures);
}
module_exit(chaos_exit);

MODULE_DESCRIPTION("Mock asynchronous crypto driver: chaos(<skcipher>)");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
MODULE_ALIAS_CRYPTO("chaos");
