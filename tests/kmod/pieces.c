// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios whose memory is in pieces of any length at any place, as a module of the kernel may make
 * them, and a RAM disk that takes such bios, /dev/pieces, as long as the pieces begin and end at
 * multiples of the parameter alignment; others end with an error. With the parameter metadata there
 * is room for so many bytes next to each block. It ends bios within submit_bio(), and with the
 * parameter at_once says so. A read of the sector wrong_sector fails; one of late_sector is ended
 * by a worker. The parameter reads counts bios.
 *
 * debugfs, pieces/data: the bytes to write, or that were read. A line written to pieces/run does
 * one bio with them:
 *
 *	read|write <device> <sector> <bytes> <gap>+<length> ...
 *
 * A piece of <length> bytes lies <gap> bytes behind the one before; after the last pair of numbers
 * the first comes again. The line fails with the bio's error, or with EUCLEAN if memory outside the
 * pieces, or what is written, has changed.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#define DISK_BYTES	(8U * 1024 * 1024)
#define DATA_BYTES	(1024U * 1024)
#define ARENA_BYTES	(4U * 1024 * 1024)
#define PIECES_MAX	65535		/* what a bio can count */
#define PATTERN_MAX	16
#define LINE_MAX_LENGTH	256
#define UNTOUCHED	0xa5

/* The lengths of pieces, and how far each is from the one before. */
struct pattern {
	unsigned int count;
	unsigned int gap[PATTERN_MAX];
	unsigned int length[PATTERN_MAX];
};

struct order {
	bool is_write;
	char path[64];
	u64 sector;
	unsigned int bytes;
	struct pattern pattern;
};

static DEFINE_MUTEX(lock);	/* one bio at a time; protects the following */
static u8 *data;
static u8 *arena;		/* the pieces lie here; physically in one block */
static struct bio_vec *vecs;

/* ----------------------------------------------------------------------------- the disk */

static unsigned int block = 512;
module_param(block, uint, 0444);
MODULE_PARM_DESC(block, "Bytes of the disk's logical blocks");

static unsigned int alignment = 4;
module_param(alignment, uint, 0444);
MODULE_PARM_DESC(alignment, "Of the memory that the disk takes, a power of two, at least 2");

static unsigned int metadata;
module_param(metadata, uint, 0444);
MODULE_PARM_DESC(metadata, "Bytes that the disk keeps next to each block");

static bool at_once;
module_param(at_once, bool, 0444);
MODULE_PARM_DESC(at_once, "The disk says that it ends bios within submit_bio()");

static long wrong_sector = -1;
module_param(wrong_sector, long, 0644);
MODULE_PARM_DESC(wrong_sector, "A read of this sector of the disk fails; -1: none");

static long late_sector = -1;
module_param(late_sector, long, 0644);
MODULE_PARM_DESC(late_sector, "A read of this sector is ended by a worker; -1: none");

static unsigned int reads;
module_param(reads, uint, 0644);
MODULE_PARM_DESC(reads, "The bios by which the disk was read");

static struct bio *late;	/* to be ended by end_late() */
static u8 *disk_bytes;
static u8 *disk_metadata;
static struct gendisk *disk;

/* Copies a piece to the disk or from there. */
static void copy(struct bio *bio, struct bio_vec *bv, u8 *at)
{
	if (bio_data_dir(bio) == WRITE)
		memcpy_from_page(at, bv->bv_page, bv->bv_offset, bv->bv_len);
	else
		memcpy_to_page(bv->bv_page, bv->bv_offset, at, bv->bv_len);
}

/* Copies what is next to the blocks from @first on. */
static void copy_metadata(struct bio *bio, u64 first)
{
	struct bio_integrity_payload *payload = bio_integrity(bio);
	u8 *at = disk_metadata + first * metadata;
	struct bvec_iter iter;
	struct bio_vec bv;

	bip_for_each_vec(bv, payload, iter) {
		copy(bio, &bv, at);
		at += bv.bv_len;
	}
}

/* Whether the disk takes the memory. */
static bool is_aligned(struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	bio_for_each_bvec(bv, bio, iter)
		if ((bv.bv_offset | bv.bv_len) & (alignment - 1))
			return false;
	return true;
}

static void end_late(struct work_struct *work)
{
	bio_endio(xchg(&late, NULL));
}

static DECLARE_WORK(late_work, end_late);

/* Whether a bio reads a sector, which may be -1. */
static bool reads_sector(const struct bio *bio, long sector)
{
	return bio_data_dir(bio) == READ && sector >= (long)bio->bi_iter.bi_sector &&
	       sector < (long)bio_end_sector(bio);
}

static void disk_submit(struct bio *bio)
{
	unsigned int start = bio->bi_iter.bi_sector << SECTOR_SHIFT;	/* below DISK_BYTES */
	bool is_late = reads_sector(bio, READ_ONCE(late_sector));
	u8 *at = disk_bytes + start;
	struct bvec_iter iter;
	struct bio_vec bv;

	if (bio_data_dir(bio) == READ)
		reads++;
	if (!is_aligned(bio) || reads_sector(bio, READ_ONCE(wrong_sector))) {
		bio_io_error(bio);
		return;
	}
	if (bio_integrity(bio) && metadata)
		copy_metadata(bio, start / block);
	bio_for_each_segment(bv, bio, iter) {
		copy(bio, &bv, at);
		at += bv.bv_len;
	}
	/* One at a time. */
	if (is_late && !cmpxchg(&late, NULL, bio))
		schedule_work(&late_work);
	else
		bio_endio(bio);
}

static const struct block_device_operations disk_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= disk_submit,
};

static int make_disk(void)
{
	int err;

	disk_bytes = vzalloc(DISK_BYTES);
	disk_metadata = vzalloc(max(DISK_BYTES / block * metadata, 1U));
	disk = pieces_alloc_disk(block, alignment, metadata, at_once);
	if (!disk_bytes || !disk_metadata || !disk)
		return -ENOMEM;
	disk->fops = &disk_ops;
	disk->flags |= GENHD_FL_NO_PART;
	strscpy(disk->disk_name, "pieces", sizeof(disk->disk_name));
	set_capacity(disk, DISK_BYTES >> SECTOR_SHIFT);
	err = add_disk(disk);
	if (err)
		return err;
	pieces_add_metadata(disk, block, metadata);
	return 0;
}

static void free_disk(void)
{
	if (disk) {
		if (disk_live(disk))
			del_gendisk(disk);
		put_disk(disk);
	}
	flush_work(&late_work);
	vfree(disk_metadata);
	vfree(disk_bytes);
}

/* ------------------------------------------------------------------------------ the bios */

/* Lists the pieces of @order. Return: how many, or a negative errno if they do not fit. */
static int lay_out(const struct order *order)
{
	unsigned int left, length, at = 0, i = 0, step;

	for (left = order->bytes; left; left -= length) {
		step = i % order->pattern.count;
		at += order->pattern.gap[step];
		length = min(left, order->pattern.length[step]);
		if (i == PIECES_MAX || at > ARENA_BYTES || length > ARENA_BYTES - at)
			return -E2BIG;
		vecs[i].bv_page = virt_to_page(arena + at);
		vecs[i].bv_offset = offset_in_page(arena + at);
		vecs[i].bv_len = length;
		at += length;
		i++;
	}
	return i;
}

/* Fills the pieces with the data, or takes it out of them and leaves them as they were before. */
static void exchange(unsigned int count, bool is_filled)
{
	unsigned int i, at = 0;

	for (i = 0; i < count; i++) {
		u8 *piece = bvec_virt(&vecs[i]);

		if (is_filled) {
			memcpy(piece, data + at, vecs[i].bv_len);
		} else {
			memcpy(data + at, piece, vecs[i].bv_len);
			memset(piece, UNTOUCHED, vecs[i].bv_len);
		}
		at += vecs[i].bv_len;
	}
}

/* Whether the pieces of a write still hold the data. */
static bool is_unchanged(unsigned int count)
{
	unsigned int i, at = 0;

	for (i = 0; i < count; i++) {
		if (memcmp(bvec_virt(&vecs[i]), data + at, vecs[i].bv_len))
			return false;
		at += vecs[i].bv_len;
	}
	return true;
}

static int do_bio(struct block_device *bdev, const struct order *order, unsigned int count)
{
	struct bio bio;
	int err;

	memset(arena, UNTOUCHED, ARENA_BYTES);
	if (order->is_write)
		exchange(count, true);
	bio_init(&bio, bdev, vecs, count, order->is_write ? REQ_OP_WRITE : REQ_OP_READ);
	bio.bi_vcnt = count;
	bio.bi_iter.bi_sector = order->sector;
	bio.bi_iter.bi_size = order->bytes;
	err = submit_bio_wait(&bio);
	bio_uninit(&bio);
	if (order->is_write && !is_unchanged(count))
		return -EUCLEAN;
	exchange(count, false);
	return memchr_inv(arena, UNTOUCHED, ARENA_BYTES) ? -EUCLEAN : err;
}

static int run(const struct order *order)
{
	struct file *file;
	int count, err;

	count = lay_out(order);
	if (count < 0)
		return count;
	file = filp_open(order->path, O_RDWR | O_LARGEFILE, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = -ENOTBLK;
	if (S_ISBLK(file_inode(file)->i_mode))
		err = do_bio(I_BDEV(file->f_mapping->host), order, count);
	fput(file);
	return err;
}

/* ------------------------------------------------------------------------------- debugfs */

static int parse_pattern(struct pattern *pattern, const char *words)
{
	int used;

	while (sscanf(words, " %u+%u%n", &pattern->gap[pattern->count],
		      &pattern->length[pattern->count], &used) == 2) {
		if (!pattern->length[pattern->count] || ++pattern->count == PATTERN_MAX)
			return -EINVAL;
		words += used;
	}
	return pattern->count && !*skip_spaces(words) ? 0 : -EINVAL;
}

static int run_line(const char *line)
{
	struct order order = { };
	char direction[8];
	int used;

	if (sscanf(line, "%7s %63s %llu %u%n", direction, order.path, &order.sector, &order.bytes,
		   &used) != 4)
		return -EINVAL;
	order.is_write = !strcmp(direction, "write");
	if (!order.bytes || order.bytes > DATA_BYTES || parse_pattern(&order.pattern, line + used))
		return -EINVAL;
	return run(&order);
}

static ssize_t run_write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	char *line;
	int err;

	if (size >= LINE_MAX_LENGTH)
		return -EINVAL;
	line = memdup_user_nul(buf, size);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&lock);
	err = run_line(line);
	mutex_unlock(&lock);
	kfree(line);
	return err ?: size;
}

static ssize_t data_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	ssize_t done;

	mutex_lock(&lock);
	done = simple_read_from_buffer(buf, size, pos, data, DATA_BYTES);
	mutex_unlock(&lock);
	return done;
}

static ssize_t data_write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	ssize_t done;

	mutex_lock(&lock);
	done = simple_write_to_buffer(data, DATA_BYTES, pos, buf, size);
	mutex_unlock(&lock);
	return done;
}

static const struct file_operations run_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= run_write,
};

static const struct file_operations data_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.read	= data_read,
	.write	= data_write,
	.llseek	= default_llseek,
};

/* -------------------------------------------------------------------------------- module */

static struct dentry *debugfs;

static void free_all(void)
{
	free_disk();
	kvfree(vecs);
	if (arena)
		free_pages_exact(arena, ARENA_BYTES);
	vfree(data);
}

static int __init pieces_init(void)
{
	int err = -ENOMEM;

	data = vzalloc(DATA_BYTES);
	arena = alloc_pages_exact(ARENA_BYTES, GFP_KERNEL);
	vecs = kvcalloc(PIECES_MAX, sizeof(*vecs), GFP_KERNEL);
	if (data && arena && vecs)
		err = make_disk();
	if (err) {
		free_all();
		return err;
	}
	debugfs = debugfs_create_dir("pieces", NULL);
	debugfs_create_file("run", 0200, debugfs, NULL, &run_fops);
	debugfs_create_file("data", 0600, debugfs, NULL, &data_fops);
	return 0;
}
module_init(pieces_init);

static void __exit pieces_exit(void)
{
	debugfs_remove_recursive(debugfs);
	free_all();
}
module_exit(pieces_exit);

MODULE_DESCRIPTION("Bios whose memory is in pieces of any length, and a disk that takes them");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
