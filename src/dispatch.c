// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where work runs: the one place that decides, and the only one that knows workqueues.
 *
 * Two queues, so that who waits never stands before who is waited for: cut_wq runs cutters, which
 * may wait for memory that fragments hold; io_wq runs fragments, which wait for nobody here.
 */
#include "dm-crypt-async.h"

/* A fragment of at most this size is converted by the thread that submitted it, in bytes. */
#define INLINE_BYTES	(16 * 1024)

/**
 * ca_choose() - says where a fragment is converted
 * @choice: what the caller knows
 *
 * A large bio's fragments go to other CPUs while the cutter goes on with the next; its last one is
 * converted by the cutter itself, which has nothing else to do.
 *
 * Return: the place.
 */
enum ca_place ca_choose(const struct ca_choice *choice)
{
	if (choice->caller == CA_FROM_CUTTER)
		return choice->last ? CA_INLINE : CA_QUEUE;
	if (choice->worker_only || !choice->last || choice->bytes > INLINE_BYTES)
		return CA_QUEUE;
	return CA_INLINE;
}

/**
 * ca_dispatch_init() - makes a device's workqueues
 * @ca: the device
 *
 * Return: 0 or -ENOMEM.
 */
int ca_dispatch_init(struct ca_device *ca)
{
	const char *name = dm_table_device_name(ca->ti->table);
	const unsigned int flags = WQ_MEM_RECLAIM | WQ_UNBOUND;

	if (ca->in_order)
		ca->cut_wq = alloc_ordered_workqueue("ca_cut/%s", WQ_MEM_RECLAIM, name);
	else
		ca->cut_wq = alloc_workqueue("ca_cut/%s", flags, 0, name);
	if (!ca->cut_wq)
		return -ENOMEM;
	ca->io_wq = alloc_workqueue("ca_io/%s", flags, 0, name);
	if (!ca->io_wq) {
		destroy_workqueue(ca->cut_wq);
		return -ENOMEM;
	}
	return 0;
}

/**
 * ca_dispatch_exit() - frees the workqueues
 * @ca: the device, with no bio in flight
 */
void ca_dispatch_exit(struct ca_device *ca)
{
	destroy_workqueue(ca->io_wq);
	destroy_workqueue(ca->cut_wq);
}

/**
 * ca_queue_cutter() - lets a worker go on cutting a base bio
 * @base: its base io; the cutter goes with it
 *
 * Context: Any.
 */
void ca_queue_cutter(struct dm_crypt_io *base)
{
	queue_work(base->ca->cut_wq, &base->cut_work);
}

/**
 * ca_queue_fragment() - lets a worker go on with a fragment, from its state
 * @io: the fragment; the worker has it from here on
 *
 * Context: Any.
 */
void ca_queue_fragment(struct dm_crypt_io *io)
{
	queue_work(io->ca->io_wq, &io->work);
}

/**
 * ca_queue_order() - lets a worker submit the writes whose turn it is
 * @ca: a zoned device
 *
 * Context: Any.
 */
void ca_queue_order(struct ca_device *ca)
{
	queue_work(ca->io_wq, &ca->order_work);
}
