// SPDX-License-Identifier: GPL-2.0-only
/*
 * timed: a disk that takes the time which a model of a real one takes, /dev/timed.
 *
 * A request gets the slot that is free first. It waits for it and for the access time, then its
 * bytes are transferred after those of the request before it. So access times overlap, and the rate
 * is shared. On a disk that rotates, an access is a seek and half a turn, and nothing for a request
 * that begins where the one before it ended. Half a turn is the mean: if the angle counted, a
 * nanosecond more of a processor's time could cost a turn.
 *
 * Requests beyond the slots wait in the disk, as with NVMe, whose queues are deep, and one for each
 * processor. With the parameter single_queue they wait in the only queue of the block layer, where
 * they are merged and sorted, as with SCSI or SATA.
 *
 * All memory is allocated when the module is loaded: a benchmark writes all of it before it
 * measures, and no request can fail for lack of it. No processor copies a real disk's data, so that
 * the copies can be switched off while nobody looks at the data.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/math.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#define QUEUE_DEPTH	256
#define REQUEST_SECTORS	2048		/* of the largest request */
#define SHARE_SHIFT	30		/* a distance as a share of the whole disk */

static unsigned int size_mb = 64;
module_param(size_mb, uint, 0444);
MODULE_PARM_DESC(size_mb, "Size in MiB");

static unsigned int slots = 64;
module_param(slots, uint, 0444);
MODULE_PARM_DESC(slots, "Requests that are served at once");

static unsigned int latency_ns = 80000;
module_param(latency_ns, uint, 0444);
MODULE_PARM_DESC(latency_ns, "Access time of each request, and of a flush, in ns");

static unsigned int bytes_per_us;
module_param(bytes_per_us, uint, 0444);
MODULE_PARM_DESC(bytes_per_us, "Bytes that all requests together transfer in a us (0: any number)");

static unsigned int rotation_us;
module_param(rotation_us, uint, 0444);
MODULE_PARM_DESC(rotation_us, "Time of a turn in us (0: it does not rotate)");

static unsigned int seek_min_us;
module_param(seek_min_us, uint, 0444);
MODULE_PARM_DESC(seek_min_us, "Time of the shortest seek in us");

static unsigned int seek_max_us;
module_param(seek_max_us, uint, 0444);
MODULE_PARM_DESC(seek_max_us, "Time of a seek across the whole disk in us");

static bool single_queue;
module_param(single_queue, bool, 0444);
MODULE_PARM_DESC(single_queue, "One queue, in which requests wait for a slot");

static int completion_cpu = -1;
module_param(completion_cpu, int, 0444);
MODULE_PARM_DESC(completion_cpu, "Processor of all completions (-1: where it was submitted)");

static bool copies = true;
module_param(copies, bool, 0644);
MODULE_PARM_DESC(copies, "Whether data is copied; otherwise the disk is neither read nor written");

/* What the driver has with each request. */
struct served {
	struct list_head entry;
	u64 ends_at;			/* ns of the monotonic clock */
};

/* The completions on a processor: one timer for all of them, as they end in order. */
struct completer {
	struct hrtimer timer;
	call_single_data_t call;	/* arms the timer from another processor */
	struct list_head served;
	bool is_armed;			/* the timer, or the call is on its way */
};

static u8 *data;
static struct completer __percpu *completers;
static struct blk_mq_tag_set tags;
static struct gendisk *disk;

static DEFINE_RAW_SPINLOCK(lock);	/* protects the following, and completers */
static u64 *free_at;			/* for each slot, a ring: they become free in order */
static unsigned int next_slot;
static u64 transferred_at;		/* when the last bytes are */
static sector_t head;			/* where the last request ends */
static unsigned int taken;		/* with a single queue: slots */
static bool is_waited_for;		/* a slot */

/* ---------------------------------------------------------------------------- the model */

static u64 seek_ns(sector_t distance)
{
	u64 share = div_u64((u64)distance << SHARE_SHIFT, size_mb << (20 - SECTOR_SHIFT));
	u64 range_ns = (u64)(seek_max_us - seek_min_us) * NSEC_PER_USEC;

	if (!distance)
		return 0;
	/* As far as the arm speeds up and slows down evenly, time grows with the root. */
	return (u64)seek_min_us * NSEC_PER_USEC +
		((range_ns * int_sqrt64(share)) >> (SHARE_SHIFT / 2));
}

static u64 access_ns(sector_t sector, unsigned int bytes)
{
	u64 half_a_turn = (u64)rotation_us * NSEC_PER_USEC / 2;

	if (!rotation_us || !bytes || sector == head)
		return latency_ns;
	return latency_ns + half_a_turn + seek_ns(sector > head ? sector - head : head - sector);
}

static u64 transfer_ns(unsigned int bytes)
{
	return bytes_per_us ? div_u64((u64)bytes * NSEC_PER_USEC, bytes_per_us) : 0;
}

/* Return: when a request that was submitted at @now ends. */
static u64 reserve(struct request *rq, u64 now)
{
	unsigned int bytes = blk_rq_bytes(rq);
	sector_t sector = blk_rq_pos(rq);
	u64 *slot = &free_at[next_slot];
	u64 accessed_at;

	lockdep_assert_held(&lock);
	accessed_at = max(now, *slot) + access_ns(sector, bytes);
	transferred_at = max(accessed_at, transferred_at) + transfer_ns(bytes);
	if (bytes)
		head = sector + (bytes >> SECTOR_SHIFT);
	*slot = transferred_at;
	next_slot = (next_slot + 1) % slots;
	return transferred_at;
}

/* --------------------------------------------------------------------------- completions */

/* Starts the timer of this processor. */
static void arm(struct completer *completer)
{
	struct served *first = list_first_entry(&completer->served, struct served, entry);

	lockdep_assert_held(&lock);
	hrtimer_start(&completer->timer, ns_to_ktime(first->ends_at), HRTIMER_MODE_ABS_PINNED);
}

static void arm_here(void *info)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	arm(info);
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* Has a request complete at its time, which is not before that of others. Interrupts are off. */
static void add(struct served *served)
{
	int here = smp_processor_id(), cpu = completion_cpu < 0 ? here : completion_cpu;
	struct completer *completer = per_cpu_ptr(completers, cpu);

	lockdep_assert_held(&lock);
	list_add_tail(&served->entry, &completer->served);
	if (completer->is_armed)
		return;
	completer->is_armed = true;
	if (cpu == here)
		arm(completer);
	else
		WARN_ON_ONCE(smp_call_function_single_async(cpu, &completer->call));
}

/*
 * Moves what has ended to @ended. Whoever submits when the last one is gone starts the timer, even
 * within this one's completions. Return: whether others are left; the timer then expires for them.
 */
static bool take_ended(struct completer *completer, struct list_head *ended)
{
	struct served *served, *next;
	u64 now = ktime_get_ns();

	lockdep_assert_held(&lock);
	list_for_each_entry_safe(served, next, &completer->served, entry) {
		if (served->ends_at > now) {
			hrtimer_set_expires(&completer->timer, ns_to_ktime(served->ends_at));
			return true;
		}
		list_move_tail(&served->entry, ended);
		if (single_queue)
			taken--;
	}
	completer->is_armed = false;
	return false;
}

static enum hrtimer_restart expire(struct hrtimer *timer)
{
	struct completer *completer = container_of(timer, struct completer, timer);
	struct served *served, *next;
	bool is_left, is_wanted;
	unsigned long flags;
	LIST_HEAD(ended);

	raw_spin_lock_irqsave(&lock, flags);
	is_left = take_ended(completer, &ended);
	is_wanted = is_waited_for;
	is_waited_for = false;
	raw_spin_unlock_irqrestore(&lock, flags);
	list_for_each_entry_safe(served, next, &ended, entry)
		blk_mq_end_request(blk_mq_rq_from_pdu(served), BLK_STS_OK);
	if (is_wanted)
		blk_mq_run_hw_queues(disk->queue, true);
	return is_left ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

static int make_completers(void)
{
	int cpu;

	completers = alloc_percpu(struct completer);
	if (!completers)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct completer *completer = per_cpu_ptr(completers, cpu);

		hrtimer_setup(&completer->timer, expire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED);
		INIT_CSD(&completer->call, arm_here, completer);
		INIT_LIST_HEAD(&completer->served);
	}
	return 0;
}

/* Waits for timers that have ended the last requests, but not themselves. */
static void stop_completers(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct completer *completer = per_cpu_ptr(completers, cpu);

		hrtimer_cancel(&completer->timer);
	}
}

/* ------------------------------------------------------------------------------ the disk */

static void copy(struct request *rq)
{
	u8 *at = data + (blk_rq_pos(rq) << SECTOR_SHIFT);
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		if (op_is_write(req_op(rq)))
			memcpy_from_page(at, bv.bv_page, bv.bv_offset, bv.bv_len);
		else
			memcpy_to_page(bv.bv_page, bv.bv_offset, at, bv.bv_len);
		at += bv.bv_len;
	}
}

/* The time counts from here on, so that it hides that of the copy. */
static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *queued)
{
	struct served *served = blk_mq_rq_to_pdu(queued->rq);
	u64 now = ktime_get_ns();
	unsigned long flags;

	blk_mq_start_request(queued->rq);
	if (READ_ONCE(copies))
		copy(queued->rq);
	raw_spin_lock_irqsave(&lock, flags);
	served->ends_at = reserve(queued->rq, now);
	add(served);
	raw_spin_unlock_irqrestore(&lock, flags);
	return BLK_STS_OK;
}

/* Takes a slot for a request that leaves the single queue. expire() gives it back. */
static int get_budget(struct request_queue *queue)
{
	unsigned long flags;
	bool is_free;

	raw_spin_lock_irqsave(&lock, flags);
	is_free = taken < slots;
	if (is_free)
		taken++;
	else
		is_waited_for = true;
	raw_spin_unlock_irqrestore(&lock, flags);
	return is_free ? 0 : -1;
}

/* There was no request. Another processor may have found one, and no slot for it meanwhile. */
static void put_budget(struct request_queue *queue, int token)
{
	unsigned long flags;
	bool is_wanted;

	raw_spin_lock_irqsave(&lock, flags);
	taken--;
	is_wanted = is_waited_for;
	is_waited_for = false;
	raw_spin_unlock_irqrestore(&lock, flags);
	if (is_wanted)
		blk_mq_run_hw_queues(queue, true);
}

static const struct blk_mq_ops deep_ops = {
	.queue_rq	= queue_rq,
};

static const struct blk_mq_ops single_ops = {
	.queue_rq	= queue_rq,
	.get_budget	= get_budget,
	.put_budget	= put_budget,
};

static const struct block_device_operations disk_ops = {
	.owner	= THIS_MODULE,
};

static int make_disk(void)
{
	int err;

	tags.ops = single_queue ? &single_ops : &deep_ops;
	tags.nr_hw_queues = single_queue ? 1 : num_online_cpus();
	tags.queue_depth = QUEUE_DEPTH;
	tags.numa_node = NUMA_NO_NODE;
	tags.cmd_size = sizeof(struct served);
	tags.flags = BLK_MQ_F_SHOULD_MERGE | (single_queue ? 0 : BLK_MQ_F_NO_SCHED_BY_DEFAULT);
	err = blk_mq_alloc_tag_set(&tags);
	if (err)
		return err;
	disk = timed_alloc_disk(&tags, REQUEST_SECTORS, rotation_us);
	if (IS_ERR(disk)) {
		err = PTR_ERR(disk);
		goto free_tags;
	}
	disk->fops = &disk_ops;
	disk->flags |= GENHD_FL_NO_PART;
	strscpy(disk->disk_name, "timed", sizeof(disk->disk_name));
	set_capacity(disk, (sector_t)size_mb << (20 - SECTOR_SHIFT));
	err = add_disk(disk);
	if (err)
		goto put_disk;
	return 0;

put_disk:
	put_disk(disk);
free_tags:
	blk_mq_free_tag_set(&tags);
	return err;
}

/* -------------------------------------------------------------------------------- module */

static bool is_possible(void)
{
	return size_mb && size_mb < (1U << 20) && slots && slots <= QUEUE_DEPTH &&
	       seek_min_us <= seek_max_us &&
	       (completion_cpu == -1 ||
		((unsigned int)completion_cpu < nr_cpu_ids && cpu_online(completion_cpu)));
}

static int __init timed_init(void)
{
	int err = -ENOMEM;

	if (!is_possible())
		return -EINVAL;
	data = vzalloc((u64)size_mb << 20);
	if (!data)
		return err;
	free_at = kcalloc(slots, sizeof(*free_at), GFP_KERNEL);
	if (!free_at)
		goto free_data;
	err = make_completers();
	if (err)
		goto free_slots;
	err = make_disk();
	if (err)
		goto free_completers;
	return 0;

free_completers:
	free_percpu(completers);
free_slots:
	kfree(free_at);
free_data:
	vfree(data);
	return err;
}
module_init(timed_init);

static void __exit timed_exit(void)
{
	del_gendisk(disk);
	stop_completers();
	put_disk(disk);
	blk_mq_free_tag_set(&tags);
	free_percpu(completers);
	kfree(free_at);
	vfree(data);
}
module_exit(timed_exit);

MODULE_DESCRIPTION("A disk that takes the time which a model of a real one takes");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
