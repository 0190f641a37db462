// SPDX-License-Identifier: GPL-2.0-only
/*
 * Converts a fragment, unit by unit. This file submits no bio.
 *
 * One thread at a time, the converter, walks a fragment. Each unit becomes a request to the crypto
 * driver, which answers in one of four ways:
 *
 *	0		done; the same request serves the next unit
 *	-EINPROGRESS	taken; the result comes by request_done(), in any context and order
 *	-EBUSY		taken as well, but the driver's queue is full: the converter parks,
 *			that is, it returns and leaves no thread behind, until request_done()
 *			gets -EINPROGRESS (the request has moved up) or the result
 *	else		failed: this fragment fails, and no other
 *
 * The converter can also park for want of a request: every fragment has one built in, further
 * ones are taken only if memory is at hand. So a fragment never waits for memory that another one
 * holds.
 */
#include "convert.h"

#include <linux/bio.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../dm-crypt-async.h"
#include "base.h"
#include "cipher.h"
#include "decide.h"
#include "dispatch.h"
#include "fragment.h"
#include "latency.h"
#include "request.h"
#include "stats.h"
#include "watchdog.h"
#include "workers.h"

#define DM_MSG_PREFIX	CA_NAME

/* Bytes that a converter may do between two offers of its CPU to other tasks. */
#define RESCHED_BYTES	(64 * 1024)

/*
 * Copies the next unit of a write that is converted in place from the writer's memory once more: a
 * driver that found no memory may have left it half converted. If it was not touched, this does no
 * harm.
 */
static void restore_unit(struct dm_crypt_io *io)
{
	const struct ca_base *base = io->base;
	struct bvec_iter from = base->all;
	struct bvec_iter to = io->ctx.at.in;

	if (!io->is_write || !io->ca->cipher.is_in_place || !to.bi_size)
		return;
	bio_advance_iter(base->bio, &from,
			 ((io->sector - base->sector) << SECTOR_SHIFT) + io->bytes - to.bi_size);
	to.bi_size = io->ca->unit_size;
	ca_base_copy(io->ctx.to, to, base->bio->bi_io_vec, from);
}

/* ----------------------------------------------------------- other threads that go on with it */

static void leave_queue(struct dm_crypt_io *io)
{
	ca_latency_end(&io->ca->latency, io->is_write, CA_PHASE_QUEUE, &io->queued_at);
}

/* Begins with a fragment that was handed to this thread. */
static void start(struct dm_crypt_io *io, enum ca_caller caller)
{
	leave_queue(io);
	ca_count(io->ca, caller >= CA_FROM_WORKER ? CA_STAT_QUEUED : CA_STAT_INLINE);
	ca_convert_start(io, caller);
}

/* Goes on with a fragment that was parked. */
static void resume(struct dm_crypt_io *io, enum ca_caller caller)
{
	leave_queue(io);
	ca_count(io->ca, CA_STAT_RESUMED);
	if (io->sleeps)
		restore_unit(io);
	if (ca_convert(io, caller))
		ca_convert_finish(io, true);
}

static void start_job(struct ca_job *job, enum ca_caller caller)
{
	start(container_of(job, struct dm_crypt_io, job), caller);
}

static void resume_job(struct ca_job *job, enum ca_caller caller)
{
	resume(container_of(job, struct dm_crypt_io, job), caller);
}

static void start_work(struct work_struct *work)
{
	struct dm_crypt_io *io = container_of(work, struct dm_crypt_io, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&io->ca->workers, io->base);

	start(io, CA_FROM_SLEEPER);
	ca_worker_end(scope);
}

static void resume_work(struct work_struct *work)
{
	struct dm_crypt_io *io = container_of(work, struct dm_crypt_io, job.work);
	struct ca_worker_scope scope = ca_worker_begin(&io->ca->workers, io->base);

	resume(io, CA_FROM_SLEEPER);
	ca_worker_end(scope);
}

/*
 * Hands a fragment to a worker of the list, or to one of its own if it may have to sleep; @is_share
 * as in struct ca_job.
 */
static void queue(struct dm_crypt_io *io, void (*job_fn)(struct ca_job *, enum ca_caller),
		  work_func_t work_fn, bool is_share)
{
	struct ca_device *ca = io->ca;

	io->queued_at = ca_latency_begin(&ca->latency);
	if (io->sleeps) {
		INIT_WORK(&io->job.work, work_fn);
		ca_workers_queue_alone(&ca->workers, &io->job.work);
		return;
	}
	io->job.run = job_fn;
	io->job.base = io->base;
	io->job.bytes = io->ctx.at.in.bi_size;
	io->job.is_share = is_share;
	io->job.may_place = ca_dispatch_may_place(io->base);
	ca_workers_add(&ca->workers, &io->job, ca_dispatch_is_sync_submitter(io->base));
}

/**
 * ca_convert_queue() - hands a fragment that is to be converted to a worker
 * @io: the fragment, split off, owned by the caller, which must not touch it afterwards
 * @is_share: the splitter goes on with others, see struct ca_job
 *
 * Context: Any.
 */
void ca_convert_queue(struct dm_crypt_io *io, bool is_share)
{
	queue(io, start_job, start_work, is_share);
}

static void queue_resume(struct dm_crypt_io *io)
{
	queue(io, resume_job, resume_work, false);
}

/* ------------------------------------------------------------------------------- parking */

/*
 * Resumes the fragment if it is parked; tells its converter not to park if that is still running.
 * The caller has a part in ctx->pending, or the converter has, so the fragment is still there.
 */
static void kick(struct dm_crypt_io *io)
{
	atomic_t *run = &io->ctx.run;
	int old = atomic_read(run);

	do {
		if (old == CA_KICKED)
			return;
	} while (!atomic_try_cmpxchg(run, &old, old == CA_PARKED ? CA_RUNNING : CA_KICKED));

	if (old == CA_PARKED)
		queue_resume(io);
}

/*
 * The converter stops until an event of ctx->awaited. Return: false if that has happened already
 * and the converter goes on; if true, nothing of the fragment may be touched any more.
 */
static bool park(struct dm_crypt_io *io)
{
	ca_fragment_move(io, CA_FRAGMENT_PARKING);
	ca_count(io->ca, CA_STAT_PARKED);
	if (atomic_cmpxchg(&io->ctx.run, CA_RUNNING, CA_PARKED) == CA_RUNNING)
		return true;

	ca_fragment_move(io, CA_FRAGMENT_CONVERTING);
	ca_count(io->ca, CA_STAT_RESUMED);
	return false;
}

/*
 * Hands a write on to a worker that may sleep, since the driver found no memory for a unit without
 * sleeping. The worker tries that unit again. (A read is decrypted in place, and may be half
 * converted: it fails, and is read again.)
 */
static void go_on_in_sleeper(struct dm_crypt_io *io)
{
	io->sleeps = true;
	ca_fragment_move(io, CA_FRAGMENT_PARKING);
	ca_count(io->ca, CA_STAT_PARKED);
	queue_resume(io);
}

/*
 * From here on, the driver's next call for @r (it has begun, or is done) resumes the converter if
 * it has parked.
 */
static void await(struct convert_context *ctx, struct ca_request *r)
{
	WRITE_ONCE(ctx->awaited, r);
	atomic_set(&ctx->run, CA_RUNNING);
}

/* Return: a request that is free, or NULL if the converter has to park for the built-in one. */
static struct ca_request *get_request(struct dm_crypt_io *io)
{
	struct convert_context *ctx = &io->ctx;
	struct ca_request *r;

	if (!test_and_set_bit(0, &ctx->is_request_busy))
		return &io->request;

	r = kmalloc(io->ca->cipher.request_size, GFP_NOWAIT | __GFP_NOWARN);
	if (r) {
		r->io = io;
		return r;
	}

	await(ctx, &io->request);
	/*
	 * test_and_set_bit() is a full barrier, and pairs with the one in request_done(): that
	 * sees awaited, or this thread sees a free request.
	 */
	return test_and_set_bit(0, &ctx->is_request_busy) ? NULL : &io->request;
}

/* Gives back a request that the driver does not own. */
static void put_request(struct dm_crypt_io *io, struct ca_request *r)
{
	if (r == &io->request)
		clear_bit_unlock(0, &io->ctx.is_request_busy);
	else
		kfree(r);
}

/* ------------------------------------------------------------------------------ the units */

/*
 * Whether a fragment for which there was no memory is read and converted once more. The splitter
 * may move the base from READING to READ meanwhile; nobody moves it to RECHECKING while it has
 * fragments.
 */
static bool is_read_again(const struct dm_crypt_io *io)
{
	return !io->is_write && READ_ONCE(io->base->state) != CA_BASE_RECHECKING;
}

/*
 * The crypto driver failed a unit, and with it the fragment. @is_expected: there was no memory, and
 * there will be some for a second attempt, so that this is no error.
 */
static void fail_unit(struct dm_crypt_io *io, int err, bool is_expected)
{
	const struct ca_device *ca = io->ca;

	if (err != -EBADMSG && !is_expected) {
		ca_count(ca, CA_STAT_CRYPTO_ERRORS);
		DMERR_LIMIT("%s: %s failed (%d): %s of %u bytes at sector %llu: see its messages",
			    ca_device_name(ca), ca_cipher_driver(&ca->cipher), err,
			    io->is_write ? "write" : "read", io->bytes,
			    ca->ti->begin + io->sector);
	}
	cmpxchg(&io->ctx.error, 0, err);
}

/* Takes @count off the number of units that are not converted yet. Return: whether none is left. */
static bool settle(struct dm_crypt_io *io, unsigned int count)
{
	struct ca_device *ca = io->ca;
	int left = atomic_sub_return(count, &io->ctx.pending);

	if (unlikely(left < 0))
		ca_watchdog_state_error(ca, "a fragment has more answers than requests",
					left + count, left);
	return !left;
}

/*
 * The driver's callback; any context. @err is -EINPROGRESS when a backlogged request has moved up.
 */
static void request_done(void *data, int err)
{
	struct ca_request *r = data;
	struct dm_crypt_io *io = r->io;
	bool is_over = err != -EINPROGRESS;

	if (is_over) {
		err = ca_request_finish(io, r, err);
		if (err)
			fail_unit(io, err, false);
		put_request(io, r);
		/* Pairs with the second test_and_set_bit() in get_request(). */
		smp_mb();
	}
	/* If put_request() freed r, this compares its address and nothing more. */
	if (READ_ONCE(io->ctx.awaited) == r)
		kick(io);
	if (is_over && settle(io, 1))
		ca_convert_finish(io, false);
}

CA_COMPLETION(request_done)

/**
 * ca_convert() - converts a fragment, from where it stands
 * @io: the fragment, split off, or parked and resumed
 * @caller: the context: only CA_FROM_SLEEPER sleeps for the driver's memory
 *
 * Context: Any but hard interrupt. One caller at a time.
 * Return: true if the conversion is over and the caller goes on with ca_convert_finish(); false if
 * another thread does, or has done: the driver's callback, or the worker that resumes the fragment.
 * Then the caller must not touch it.
 */
bool ca_convert(struct dm_crypt_io *io, enum ca_caller caller)
{
	const bool may_sleep = caller == CA_FROM_SLEEPER;
	const u32 flags = CRYPTO_TFM_REQ_MAY_BACKLOG | (may_sleep ? CRYPTO_TFM_REQ_MAY_SLEEP : 0);
	struct convert_context *ctx = &io->ctx;
	struct ca_request *r = NULL;
	unsigned int quota = RESCHED_BYTES;
	unsigned int before;
	int err;

	ca_fragment_move(io, CA_FRAGMENT_CONVERTING);
	while (ctx->at.in.bi_size && !READ_ONCE(ctx->error)) {
		if (!r) {
			r = get_request(io);
			if (!r && park(io))
				return false;
			if (!r)
				continue;
			await(ctx, r);
		}

		before = ctx->at.in.bi_size;
		err = ca_request_submit(io, r, flags, ca_completion(request_done), quota);
		if (err == -ENOMEM && !may_sleep && io->is_write) {
			put_request(io, r);
			go_on_in_sleeper(io);
			return false;
		}
		if (err)
			ca_request_step(io);
		if (err == -EINPROGRESS || err == -EBUSY) {
			r = NULL;
			ca_watch(io);
			if (err == -EBUSY && park(io))
				return false;
		} else if (err) {
			ctx->settled++;
			fail_unit(io, err, err == -ENOMEM && is_read_again(io));
		}

		before -= ctx->at.in.bi_size;
		if (quota > before) {
			quota -= before;
		} else {
			quota = RESCHED_BYTES;
			if (may_sleep || caller == CA_FROM_WORKER || caller == CA_FROM_MAP)
				cond_resched();
		}
	}
	if (r)
		put_request(io, r);

	/* Units that were never submitted, after an error, are over too. */
	ctx->settled += ctx->at.in.bi_size >> (io->ca->unit_shift + SECTOR_SHIFT);
	return settle(io, ctx->settled + 1);
}

/**
 * ca_convert_finish() - goes on with a fragment whose conversion is over
 * @io: the fragment, owned by the caller, the outcome in ctx.error; it must not touch it afterwards
 * @in_task: the caller may submit bios
 *
 * Context: Any.
 */
void ca_convert_finish(struct dm_crypt_io *io, bool in_task)
{
	if (io->is_watched)
		ca_unwatch(io);
	ca_latency_end(&io->ca->latency, io->is_write, CA_PHASE_CONVERT, &io->since);
	io->converted(io, in_task);
}

/**
 * ca_convert_start() - converts a fragment and goes on with it
 * @io: the fragment, split off, owned by the caller, which must not touch it afterwards
 * @caller: the context, a task's
 */
void ca_convert_start(struct dm_crypt_io *io, enum ca_caller caller)
{
	io->since = ca_latency_begin(&io->ca->latency);
	if (ca_convert(io, caller))
		ca_convert_finish(io, true);
}
