// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cipher with nothing around it: how long it takes on the bytes of one I/O. What an encrypted
 * device costs beyond that, and beyond the lower device, is its own.
 *
 * A line written to debugfs, bare/run, measures; reading that file gives the result:
 *
 *	encrypt|decrypt <algorithm> <key in hex> <unit> <bytes of an I/O> <ms> <threads>
 *	-> <I/Os of all threads> <ns of a thread> <driver>
 *
 * As on a device, each unit is a request with an IV of its own, each page a page of its own, and
 * encryption goes to other pages. Unlike there, one request is used again and again.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <crypto/skcipher.h>

#define LINE_MAX_LENGTH	768
#define KEY_MAX_LENGTH	128
#define IV_LENGTH	32
#define THREADS_MAX	64

/* What was asked for; the same for all threads. */
struct order {
	struct crypto_skcipher *tfm;
	bool encrypt;
	unsigned int unit;
	unsigned int size;
	unsigned int ms;
	unsigned int threads;
};

struct runner {
	struct work_struct work;
	const struct order *order;
	struct skcipher_request *req;
	struct crypto_wait wait;
	struct page **from;
	struct page **to;	/* the same as @from when decrypting */
	u8 iv[IV_LENGTH];
	u64 sector;
	u64 ios;
	u64 ns;
	int err;
};

static DEFINE_MUTEX(lock);	/* one measurement at a time; protects @result */
static char result[CRYPTO_MAX_ALG_NAME + 64];
static struct workqueue_struct *queue;

/* -------------------------------------------------------------------------- measuring */

static int convert_unit(struct runner *r, unsigned int at)
{
	unsigned int page = at / PAGE_SIZE, offset = offset_in_page(at), unit = r->order->unit;
	struct scatterlist from, to;

	sg_init_table(&from, 1);
	sg_set_page(&from, r->from[page], unit, offset);
	sg_init_table(&to, 1);
	sg_set_page(&to, r->to[page], unit, offset);
	memset(r->iv, 0, sizeof(r->iv));
	*(__le64 *)r->iv = cpu_to_le64(r->sector++);
	skcipher_request_set_crypt(r->req, &from, &to, unit, r->iv);
	return crypto_wait_req(r->order->encrypt ? crypto_skcipher_encrypt(r->req) :
						   crypto_skcipher_decrypt(r->req), &r->wait);
}

static int convert_io(struct runner *r)
{
	unsigned int at;
	int err = 0;

	for (at = 0; at < r->order->size && !err; at += r->order->unit)
		err = convert_unit(r, at);
	r->ios++;
	return err;
}

/* Looks at the clock once in 64 KiB only. */
static void measure(struct work_struct *work)
{
	struct runner *r = container_of(work, struct runner, work);
	unsigned int batch = max(1U, SZ_64K / r->order->size), i;
	u64 start = ktime_get_ns();

	do {
		for (i = 0; i < batch && !r->err; i++)
			r->err = convert_io(r);
		r->ns = ktime_get_ns() - start;
		cond_resched();
	} while (!r->err && r->ns < r->order->ms * NSEC_PER_MSEC);
}

/* ---------------------------------------------------------------------------- runners */

static void free_pages_of(struct page **pages, unsigned int count)
{
	while (pages && count--)
		if (pages[count])
			__free_page(pages[count]);
	kvfree(pages);
}

static struct page **get_pages(unsigned int count)
{
	struct page **pages = kvcalloc(count, sizeof(*pages), GFP_KERNEL);
	unsigned int i;

	for (i = 0; pages && i < count; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i]) {
			free_pages_of(pages, count);
			return NULL;
		}
	}
	return pages;
}

static void exit_runner(struct runner *r)
{
	unsigned int count = DIV_ROUND_UP(r->order->size, PAGE_SIZE);

	if (r->to != r->from)
		free_pages_of(r->to, count);
	free_pages_of(r->from, count);
	skcipher_request_free(r->req);
}

/* What it got is given back by exit_runner(), also after a failure. */
static int init_runner(struct runner *r, const struct order *order)
{
	unsigned int count = DIV_ROUND_UP(order->size, PAGE_SIZE);

	r->order = order;
	INIT_WORK(&r->work, measure);
	crypto_init_wait(&r->wait);
	r->from = get_pages(count);
	r->to = order->encrypt ? get_pages(count) : r->from;
	r->req = skcipher_request_alloc(order->tfm, GFP_KERNEL);
	if (!r->from || !r->to || !r->req)
		return -ENOMEM;
	skcipher_request_set_callback(r->req, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done,
				      &r->wait);
	return 0;
}

static int run_runners(struct runner *runners, const struct order *order)
{
	u64 ios = 0, ns = 0;
	unsigned int i;
	int err = 0;

	for (i = 0; i < order->threads && !err; i++)
		err = init_runner(&runners[i], order);
	if (err)
		return err;
	for (i = 0; i < order->threads; i++)
		queue_work(queue, &runners[i].work);
	for (i = 0; i < order->threads; i++) {
		flush_work(&runners[i].work);
		err = err ?: runners[i].err;
		ios += runners[i].ios;
		ns += runners[i].ns;
	}
	scnprintf(result, sizeof(result), "%llu %llu %s\n", ios, div_u64(ns, order->threads),
		  crypto_skcipher_driver_name(order->tfm));
	return err;
}

static int run(const struct order *order)
{
	struct runner *runners = kvcalloc(order->threads, sizeof(*runners), GFP_KERNEL);
	unsigned int i;
	int err;

	if (!runners)
		return -ENOMEM;
	err = run_runners(runners, order);
	for (i = 0; i < order->threads && runners[i].order; i++)
		exit_runner(&runners[i]);
	kvfree(runners);
	return err;
}

/* ---------------------------------------------------------------------------- debugfs */

static bool sane(const struct order *order)
{
	return order->unit && order->unit <= PAGE_SIZE && PAGE_SIZE % order->unit == 0 &&
	       order->size && order->size % order->unit == 0 && order->size <= SZ_64M &&
	       order->ms && order->ms <= 10000 && order->threads && order->threads <= THREADS_MAX;
}

static int run_keyed(struct order *order, const char *algorithm, const char *hex)
{
	unsigned int length = strlen(hex) / 2;
	u8 key[KEY_MAX_LENGTH];
	int err = -EINVAL;

	if (!sane(order) || length > sizeof(key) || hex2bin(key, hex, length))
		return -EINVAL;
	order->tfm = crypto_alloc_skcipher(algorithm, 0, 0);
	if (IS_ERR(order->tfm))
		return PTR_ERR(order->tfm);
	if (crypto_skcipher_ivsize(order->tfm) <= IV_LENGTH)
		err = crypto_skcipher_setkey(order->tfm, key, length);
	if (!err)
		err = run(order);
	crypto_free_skcipher(order->tfm);
	return err;
}

static int run_line(const char *line)
{
	char direction[8], algorithm[CRYPTO_MAX_ALG_NAME], hex[2 * KEY_MAX_LENGTH + 1];
	struct order order = {};

	BUILD_BUG_ON(CRYPTO_MAX_ALG_NAME != 128 || KEY_MAX_LENGTH != 128);
	if (sscanf(line, "%7s %127s %256s %u %u %u %u", direction, algorithm, hex, &order.unit,
		   &order.size, &order.ms, &order.threads) != 7)
		return -EINVAL;
	order.encrypt = !strcmp(direction, "encrypt");
	return run_keyed(&order, algorithm, strcmp(hex, "-") ? hex : "");
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
	result[0] = '\0';
	err = run_line(line);
	mutex_unlock(&lock);
	kfree(line);
	return err ?: size;
}

static ssize_t run_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	ssize_t count;

	mutex_lock(&lock);
	count = simple_read_from_buffer(buf, size, pos, result, strlen(result));
	mutex_unlock(&lock);
	return count;
}

static const struct file_operations run_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.read	= run_read,
	.write	= run_write,
	.llseek	= default_llseek,
};

/* ----------------------------------------------------------------------------- module */

static struct dentry *debugfs;

static int __init bare_init(void)
{
	queue = alloc_workqueue("bare", WQ_UNBOUND, 0);
	if (!queue)
		return -ENOMEM;
	debugfs = debugfs_create_dir("bare", NULL);
	debugfs_create_file("run", 0600, debugfs, NULL, &run_fops);
	return 0;
}
module_init(bare_init);

static void __exit bare_exit(void)
{
	debugfs_remove_recursive(debugfs);
	destroy_workqueue(queue);
}
module_exit(bare_exit);

MODULE_DESCRIPTION("How long a cipher takes with nothing around it");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
