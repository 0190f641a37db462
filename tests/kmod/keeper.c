// SPDX-License-Identifier: GPL-2.0-only
/*
 * keeper: a device-mapper target that keeps the pages of writes, as a network driver does that was
 * handed them without a copy and whose connection is lost. The writes end all the same. The table
 * line is that of the target linear:
 *
 *	<device> <offset>
 *
 * Messages:
 *
 *	keep <pages>	keeps the next so many single pages or blocks that are written
 *	release		lets go of all of them
 *
 * The status has how many there are, and how many of all that were ever kept had something else in
 * them when they were let go.
 */
#include <linux/bio.h>
#include <linux/bvec.h>
#include <linux/crc32.h>
#include <linux/device-mapper.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

struct keeper {
	struct dm_dev *dev;
	sector_t start;
	spinlock_t lock;	/* protects the following */
	struct list_head kept;
	unsigned int wanted;
	unsigned int count;
	unsigned int changed;
};

/* A piece of a page, as it was written. */
struct piece {
	struct list_head entry;
	struct bio_vec vec;
	u32 sum;
};

static u32 sum_of(const struct bio_vec *vec)
{
	void *address = kmap_local_page(vec->bv_page);
	u32 sum = crc32(~0, address + vec->bv_offset, vec->bv_len);

	kunmap_local(address);
	return sum;
}

/* Keeps the page of a piece that is written, if one is wanted. */
static void keep(struct keeper *keeper, struct bio_vec vec)
{
	struct piece *piece = kmalloc(sizeof(*piece), GFP_ATOMIC);
	unsigned long flags;

	if (!piece)
		return;
	piece->vec = vec;
	piece->sum = sum_of(&vec);
	spin_lock_irqsave(&keeper->lock, flags);
	if (keeper->wanted) {
		keeper->wanted--;
		keeper->count++;
		get_page(vec.bv_page);
		list_add(&piece->entry, &keeper->kept);
		piece = NULL;
	}
	spin_unlock_irqrestore(&keeper->lock, flags);
	kfree(piece);
}

static int keeper_map(struct dm_target *ti, struct bio *bio)
{
	struct keeper *keeper = ti->private;
	struct bvec_iter iter;
	struct bio_vec vec;

	if (bio_data_dir(bio) == WRITE && READ_ONCE(keeper->wanted)) {
		/* cppcheck-suppress unknownMacro */
		bio_for_each_segment(vec, bio, iter)
			keep(keeper, vec);
	}
	bio_set_dev(bio, keeper->dev->bdev);
	bio->bi_iter.bi_sector = keeper->start + dm_target_offset(ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static void release_all(struct keeper *keeper)
{
	struct piece *piece, *next;
	LIST_HEAD(kept);

	spin_lock_irq(&keeper->lock);
	list_splice_init(&keeper->kept, &kept);
	keeper->wanted = 0;
	keeper->count = 0;
	spin_unlock_irq(&keeper->lock);
	list_for_each_entry_safe(piece, next, &kept, entry) {
		if (sum_of(&piece->vec) != piece->sum)
			keeper->changed++;
		put_page(piece->vec.bv_page);
		kfree(piece);
	}
}

static int keeper_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
			  unsigned int maxlen)
{
	struct keeper *keeper = ti->private;
	unsigned int wanted;

	if (argc == 1 && !strcmp(argv[0], "release")) {
		release_all(keeper);
		return 0;
	}
	if (argc != 2 || strcmp(argv[0], "keep") || kstrtouint(argv[1], 10, &wanted))
		return -EINVAL;
	WRITE_ONCE(keeper->wanted, wanted);
	return 0;
}

static void keeper_status(struct dm_target *ti, status_type_t type, unsigned int flags,
			  char *result, unsigned int maxlen)
{
	struct keeper *keeper = ti->private;
	unsigned int sz = 0;

	result[0] = '\0';
	if (type == STATUSTYPE_INFO)
		DMEMIT("kept=%u changed=%u", keeper->count, keeper->changed);
	else if (type == STATUSTYPE_TABLE)
		DMEMIT("%s %llu", keeper->dev->name, (unsigned long long)keeper->start);
}

static int keeper_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct keeper *keeper;
	u64 start;
	int err;

	if (argc != 2 || kstrtoull(argv[1], 10, &start)) {
		ti->error = "expected <device> <offset>";
		return -EINVAL;
	}
	keeper = kzalloc(sizeof(*keeper), GFP_KERNEL);
	if (!keeper)
		return -ENOMEM;
	spin_lock_init(&keeper->lock);
	INIT_LIST_HEAD(&keeper->kept);
	keeper->start = start;
	err = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &keeper->dev);
	if (err) {
		ti->error = "device cannot be opened";
		kfree(keeper);
		return err;
	}
	ti->num_flush_bios = 1;
	ti->private = keeper;
	return 0;
}

static void keeper_dtr(struct dm_target *ti)
{
	struct keeper *keeper = ti->private;

	release_all(keeper);
	dm_put_device(ti, keeper->dev);
	kfree(keeper);
}

static int keeper_iterate(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct keeper *keeper = ti->private;

	return fn(ti, keeper->dev, keeper->start, ti->len, data);
}

static struct target_type keeper_target = {
	.name		 = "keeper",
	.version	 = { 1, 0, 0 },
	.module		 = THIS_MODULE,
	.ctr		 = keeper_ctr,
	.dtr		 = keeper_dtr,
	.map		 = keeper_map,
	.message	 = keeper_message,
	.status		 = keeper_status,
	.iterate_devices = keeper_iterate,
};

static int __init keeper_init(void)
{
	return dm_register_target(&keeper_target);
}
module_init(keeper_init);

static void __exit keeper_exit(void)
{
	dm_unregister_target(&keeper_target);
}
module_exit(keeper_exit);

MODULE_DESCRIPTION("keeps the pages of writes, for tests of dm_crypt_async");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
