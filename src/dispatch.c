// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: decides where a fragment is converted and how large the next one is. The decision itself
 * is in decide.h; here is what it depends on: the table's options, the settings, the size, the bios
 * in flight, how busy the workers are, and how long things took lately.
 */
#include "dispatch.h"

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "decide.h"
#include "fragment.h"
#include "inflight.h"
#include "iv.h"
#include "request.h"
#include "softirq.h"
#include "table.h"
#include "workers.h"

/* The largest read that is converted in a soft interrupt, in bytes. */
#define INLINE_BYTES	(128 * 1024)

/*
 * A read of at most this size is not split to be shared: a wake-up takes what it saves. In bytes.
 */
#define SHARED_READ	(64U * 1024)

/* The smallest part that is split off to be shared; a write's takes a hand-over more. */
#define READ_MIN	(16U * 1024)
#define WRITE_MIN	(32U * 1024)

/* Size limit of a bio for a bio-based lower device, in bytes, unless fragments may be larger. */
#define BIO_BYTES	(128 * 1024U)

/* Size limit for a request-based one, in bytes, whatever fragments are: so much in single pages. */
#define REQUEST_BYTES	(min(BIO_MAX_VECS * PAGE_SIZE, 1024 * 1024UL))

/* What one call of a completion converts itself, in bytes: it cannot let other tasks run. */
#define SUBMITTER_BYTES	(1024 * 1024)

static unsigned int fragment_kib = 128;
module_param(fragment_kib, uint, 0644);
MODULE_PARM_DESC(fragment_kib, "Size limit of a fragment of a new device, in KiB, 4 to 1024");

/* dm-crypt's, so that its options are good for this module in its place. */
static unsigned int max_read_size;
module_param(max_read_size, uint, 0644);
MODULE_PARM_DESC(max_read_size,
		 "As in dm_crypt: size limit of a fragment of a read, in bytes; 0: fragment_kib");

static unsigned int max_write_size;
module_param(max_write_size, uint, 0644);
MODULE_PARM_DESC(max_write_size,
		 "As in dm_crypt: size limit of a fragment of a write, in bytes; 0: fragment_kib");

static bool obey_no_workqueue;
module_param(obey_no_workqueue, bool, 0644);
MODULE_PARM_DESC(obey_no_workqueue,
		 "Obey no_read_workqueue and no_write_workqueue: keep work on the CPU where it came in");

#define MIN_FRAGMENT	(4U * 1024)
#define MAX_FRAGMENT	(1024U * 1024)

static bool has_no_offload(const struct ca_base *base)
{
	return base->ca->dispatch.no_offload[base->is_write];
}

static bool needs_worker(const struct ca_base *base)
{
	return base->ca->dispatch.needs_worker[base->is_write];
}

/* Whether it came while no other bio of its CPU was in flight, and still is the only one. */
static bool is_depth_one(const struct ca_base *base)
{
	return base->is_depth_one && ca_inflight_is_one(base->inflight);
}

/* Whether a read's submitter, if it is the splitter, has converted as much of it as it may. */
static bool has_done_enough(const struct ca_base *base)
{
	return !base->is_write && READ_ONCE(base->splitter_bytes) >= SUBMITTER_BYTES;
}

/**
 * ca_dispatch_may_place() - decides whether CPUs are chosen for the workers of a bio of many
 * @base: the base
 *
 * A submitter that converts its writes itself hands them to a queue of requests in their order and
 * under its plug, so that they become few requests. Workers convert them sooner than that, so they
 * become more: no worker is looked for beyond what the scheduler finds.
 *
 * Return: whether they are.
 */
bool ca_dispatch_may_place(const struct ca_base *base)
{
	return !base->is_write || !queue_is_mq(bdev_get_queue(base->ca->dev->bdev));
}

/* Whether a worker could convert @bytes now; an interrupt wakes one only if that takes longer. */
static bool has_helper_in_interrupt(struct ca_device *ca, unsigned int bytes)
{
	const unsigned int enough = max(2 * bytes, CA_WORKER_BYTES);
	unsigned int wake_ns = READ_ONCE(ca->workers.wake_ns);

	if (ca_workers_want_more(&ca->workers, enough))
		return true;
	if (!ca_workers_can_help(&ca->workers, true, true, enough))
		return false;
	if (ca_is_worth_wake(bytes, READ_ONCE(ca->dispatch.kib_ns), wake_ns))
		return true;
	WRITE_ONCE(ca->workers.wake_ns, ca_ewma_decay(wake_ns));
	return false;
}

/* Whether a worker could convert @bytes now, of a bio of depth one (@is_share) or of others. */
static bool has_helper_in_task(const struct ca_base *base, unsigned int bytes,
			       enum ca_caller caller, bool is_share)
{
	const struct ca_workers *workers = &base->ca->workers;
	const unsigned int enough = max(2 * bytes, CA_WORKER_BYTES);

	return is_share ? ca_workers_can_share(workers, enough) :
			  ca_workers_can_help(workers, caller < CA_FROM_WORKER,
					      ca_dispatch_may_place(base), enough);
}

/*
 * Fills in everything that the decision depends on. Whether a worker could help takes longer to
 * find out, so that is done only where it counts: if @is_final, since there is no later chance to
 * hand the work over.
 */
static __always_inline struct ca_choice describe(const struct ca_base *base, unsigned int bytes,
						 enum ca_caller caller, bool more, bool is_final)
{
	const bool is_interrupt = caller == CA_FROM_SOFTIRQ || caller == CA_FROM_HARDIRQ;
	struct ca_device *ca = base->ca;
	struct ca_choice choice = {
		.caller = caller,
		.bytes = bytes,
		.more = more,
		.needs_worker = needs_worker(base),
		.no_offload = has_no_offload(base),
		.is_depth_one = is_depth_one(base),
	};

	if (is_interrupt)
		choice.max_inline = ca_inline_max(READ_ONCE(ca->dispatch.inline_bytes),
						  READ_ONCE(ca->dispatch.kib_ns));
	if (is_final && !choice.no_offload && (more || !choice.is_depth_one))
		choice.has_helper = is_interrupt ? has_helper_in_interrupt(ca, bytes) :
			has_helper_in_task(base, bytes, caller, choice.is_depth_one);
	return choice;
}

/**
 * ca_dispatch_decide() - decides where a fragment is converted
 * @io: the fragment, split off
 * @caller: the context
 * @more: the caller has further fragments of the base bio to hand out or to convert
 *
 * Return: CA_INLINE or CA_QUEUE.
 */
enum ca_where ca_dispatch_decide(struct dm_crypt_io *io, enum ca_caller caller, bool more)
{
	const struct ca_base *base = io->base;
	struct ca_choice choice = describe(base, io->ctx.at.in.bi_size, caller, more, true);

	choice.is_spent = caller == CA_FROM_SUBMITTER && has_done_enough(base);
	return ca_decide(&choice);
}

/**
 * ca_dispatch_decide_read() - decides where a read that has completed is split, and converted
 * @base: the base
 * @caller: CA_FROM_SOFTIRQ or CA_FROM_HARDIRQ
 * @is_whole: it is converted there as one fragment; else it is split there, and
 *	ca_dispatch_decide() is asked for each fragment
 * @now: for a soft interrupt, the time as local_clock() counts
 *
 * Return: CA_INLINE, CA_QUEUE or CA_SOFTIRQ.
 */
enum ca_where ca_dispatch_decide_read(const struct ca_base *base, enum ca_caller caller,
				      bool is_whole, u64 now)
{
	struct ca_dispatch *dispatch = &base->ca->dispatch;
	struct ca_choice choice = describe(base, base->all.bi_size, caller, false, is_whole);

	if (caller == CA_FROM_SOFTIRQ && !in_task())
		choice.is_spent = ca_softirq_is_spent(now);
	if (choice.bytes > choice.max_inline && choice.bytes <= READ_ONCE(dispatch->inline_bytes))
		WRITE_ONCE(dispatch->kib_ns, ca_ewma_decay(READ_ONCE(dispatch->kib_ns)));
	return ca_decide(&choice);
}

/**
 * ca_dispatch_may_dequeue() - decides whether a splitter takes back fragments that it handed out
 * @base: the base, all of it split
 * @caller: CA_FROM_MAP or CA_FROM_SUBMITTER
 *
 * Return: whether it may.
 */
bool ca_dispatch_may_dequeue(const struct ca_base *base, enum ca_caller caller)
{
	return is_depth_one(base) && !needs_worker(base) &&
	       !(caller == CA_FROM_SUBMITTER && has_done_enough(base));
}

/**
 * ca_dispatch_is_share() - says whether it does no harm if no worker ever begins what is queued
 * @base: the base; its splitter goes on to further fragments after this one
 * @caller: the splitter's context
 * @helps: the splitter will call ca_split_help_out(), which converts what no worker has begun
 *
 * Return: whether it does none: the splitter helps out, or is a worker, which takes jobs from the
 * list once it has split the base.
 */
bool ca_dispatch_is_share(const struct ca_base *base, enum ca_caller caller, bool helps)
{
	return (helps || caller == CA_FROM_WORKER) && is_depth_one(base) && !needs_worker(base);
}

/**
 * ca_dispatch_is_sync_submitter() - says whether the caller goes on converting on its CPU
 * @base: the base
 *
 * Context: Any.
 * Return: whether the caller is the base's submitter, and has not converted enough. One that has
 * leaves its CPU to a worker.
 */
bool ca_dispatch_is_sync_submitter(const struct ca_base *base)
{
	return in_task() && current == base->submitter && !has_done_enough(base);
}

/**
 * ca_dispatch_plan_split() - decides whether a base bio is split finer, to be shared
 * @base: the base, new, larger than CA_SHARED_MIN
 *
 * A bio whose submitter waits for it ends when the slowest of its fragments does. So these become
 * smaller towards its end: then all CPUs that share it end at about the same time, however fast
 * each of them is.
 *
 * Context: Task, inside submit_bio().
 */
void ca_dispatch_plan_split(struct ca_base *base)
{
	const struct ca_workers *workers = &base->ca->workers;

	if (!base->is_write && base->all.bi_size <= SHARED_READ)
		return;
	if (!base->is_depth_one || has_no_offload(base) ||
	    !ca_workers_can_share(workers, CA_WORKER_BYTES))
		return;
	base->min_split = base->is_write ? WRITE_MIN : READ_MIN;
	base->sharers = 2 * READ_ONCE(workers->count);
}

/**
 * ca_dispatch_write_size() - decides how large the next fragment of a write is
 * @base: the base
 *
 * It is one bio for the lower device. One that merges bios to requests gets bios as large as they
 * came and as its requests can be. Others may copy what they get, or pass it on, and do so while
 * the next fragment is converted.
 *
 * Context: The splitter.
 * Return: bytes, no more than the bio has left.
 */
unsigned int ca_dispatch_write_size(const struct ca_base *base)
{
	struct request_queue *queue = bdev_get_queue(base->ca->dev->bdev);
	const struct ca_dispatch *dispatch = &base->ca->dispatch;
	unsigned int max = max(READ_ONCE(dispatch->fragment_bytes[WRITE]), BIO_BYTES);

	if (queue_is_mq(queue))
		max = min_t(u64, (u64)queue_max_sectors(queue) << SECTOR_SHIFT, REQUEST_BYTES);
	return ca_write_size(base->rest.bi_size, max, dispatch->block);
}

/**
 * ca_dispatch_split_size() - decides how much of a base bio is converted as one
 * @base: the base
 *
 * Context: The splitter, once for each fragment or share: the setting may change between two calls.
 * Return: bytes, no more than the bio has left.
 */
unsigned int ca_dispatch_split_size(const struct ca_base *base)
{
	const struct ca_dispatch *dispatch = &base->ca->dispatch;

	return ca_split_size(base->rest.bi_size,
			     READ_ONCE(dispatch->fragment_bytes[base->is_write]),
			     base->min_split, base->sharers, dispatch->block);
}

/**
 * ca_dispatch_part_size() - decides how much of a read is read at once
 * @base: the base, see ca_dispatch_wants_parts()
 *
 * The last part may be of nearly twice the usual size: it is read at once, and then split so that
 * all CPUs end together.
 *
 * Context: The splitter.
 * Return: bytes, no more than the bio has left.
 */
unsigned int ca_dispatch_part_size(const struct ca_base *base)
{
	const struct ca_dispatch *dispatch = &base->ca->dispatch;
	const unsigned int part = max(READ_ONCE(dispatch->fragment_bytes[READ]), dispatch->block);

	return base->rest.bi_size / 2 > part ? part : base->rest.bi_size;
}

/**
 * ca_dispatch_wants_parts() - decides whether a read is read in parts
 * @base: the base, new
 *
 * Then workers convert its beginning while the submitter reads on. That is only so if the lower
 * device ends bios within submit_bio(), as a RAM disk does by copying. Other devices read while the
 * submitter does something else, and make a request of each part. Nor is a read that must not wait:
 * if the device refuses a part, its submitter cannot be told any more.
 *
 * Context: Task, inside submit_bio().
 * Return: whether it is.
 */
bool ca_dispatch_wants_parts(const struct ca_base *base)
{
	return base->min_split && !base->is_nowait && bdev_synchronous(base->ca->dev->bdev) &&
	       ca_dispatch_part_size(base) < base->rest.bi_size;
}

/**
 * ca_dispatch_learn() - takes note of how long a soft interrupt took to convert something
 * @dispatch: the device's
 * @ns: the time
 * @bytes: the size of it
 */
void ca_dispatch_learn(struct ca_dispatch *dispatch, u64 ns, unsigned int bytes)
{
	unsigned int kib_ns = div_u64(ns * 1024, bytes);

	WRITE_ONCE(dispatch->kib_ns, ca_ewma_add(READ_ONCE(dispatch->kib_ns), kib_ns));
}

/**
 * ca_dispatch_init() - reads where work may run and how it may be split from the table line, the
 *	cipher and the lower device
 * @ca: the device, its table line read
 */
void ca_dispatch_init(struct ca_device *ca)
{
	const bool same_cpu = ca_has(ca, CA_OPT_SAME_CPU_CRYPT);
	const bool obey = READ_ONCE(obey_no_workqueue);
	const bool looks_at_data = ca->cipher.iv_ops->looks_at_data;
	struct ca_dispatch *dispatch = &ca->dispatch;

	/*
	 * Many tables have the two since dm-crypt was slow without them. Work is done where it
	 * came in anyway, unless another CPU makes it faster, so that they are a promise only to
	 * those who ask for one.
	 */
	dispatch->obeys = obey;
	dispatch->no_offload[READ] = same_cpu || (obey && ca_has(ca, CA_OPT_NO_READ_WORKQUEUE));
	dispatch->no_offload[WRITE] = same_cpu || (obey && ca_has(ca, CA_OPT_NO_WRITE_WORKQUEUE));
	dispatch->needs_worker[READ] = looks_at_data;
	dispatch->needs_worker[WRITE] = looks_at_data || ca->zoned.is_ordered;
	dispatch->block = max_t(unsigned int, CA_MAX_UNIT, bdev_logical_block_size(ca->dev->bdev));
	ca_dispatch_reset(dispatch);
}

/**
 * ca_dispatch_emit() - writes how no_read_workqueue and no_write_workqueue were taken, if the table
 *	has one of them, for the status line
 * @ca: the device
 * @result: where to
 * @maxlen: bytes there
 *
 * Return: bytes written.
 */
unsigned int ca_dispatch_emit(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	if (ca_has(ca, CA_OPT_NO_READ_WORKQUEUE) || ca_has(ca, CA_OPT_NO_WRITE_WORKQUEUE))
		DMEMIT(" no_workqueue=%s", ca->dispatch.obeys ? "obeyed" : "hint");
	return sz;
}

/**
 * ca_dispatch_set_fragment() - sets the size limit of fragments
 * @dispatch: the device's
 * @direction: READ or WRITE
 * @bytes: the limit, brought into range and down to a power of two
 */
void ca_dispatch_set_fragment(struct ca_dispatch *dispatch, int direction, unsigned int bytes)
{
	WRITE_ONCE(dispatch->fragment_bytes[direction],
		   rounddown_pow_of_two(clamp(bytes, MIN_FRAGMENT, MAX_FRAGMENT)));
}

/**
 * ca_dispatch_reset() - brings the settings that can be changed to their defaults
 * @dispatch: the device's
 */
void ca_dispatch_reset(struct ca_dispatch *dispatch)
{
	const unsigned int bytes = min(READ_ONCE(fragment_kib), MAX_FRAGMENT / 1024) * 1024;

	ca_dispatch_set_fragment(dispatch, READ, READ_ONCE(max_read_size) ?: bytes);
	ca_dispatch_set_fragment(dispatch, WRITE, READ_ONCE(max_write_size) ?: bytes);
	WRITE_ONCE(dispatch->inline_bytes, INLINE_BYTES);
}
