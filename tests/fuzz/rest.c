// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the module that the fuzzer leaves out, since they get to see nothing of what user
 * space wrote: I/O. What they take is taken, so that it has to be given back.
 */
#include "../../dm-crypt-async.h"

#include <stdlib.h>

int ca_io_init(struct ca_device *ca)
{
	return mempool_init_page_pool(&ca->pages, 1, 0);
}

void ca_io_exit(struct ca_device *ca)
{
	mempool_exit(&ca->pages);
}

int ca_dispatch_init(struct ca_device *ca)
{
	ca->cpus = alloc_percpu(struct ca_cpu);
	if (!ca->cpus)
		return -ENOMEM;
	ca_dispatch_reset(ca);
	return 0;
}

void ca_dispatch_exit(struct ca_device *ca)
{
	free_percpu(ca->cpus);
}

void ca_dispatch_reset(struct ca_device *ca)
{
	ca->fragment_bytes = 131072;
	ca->inline_bytes = 16384;
}

void ca_dispatch_set_cpus(struct ca_device *ca, const struct cpumask *mask)
{
	ca->pinned = mask && mask->bits;
}

unsigned int ca_dispatch_emit_cpus(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%s", ca->pinned ? "some" : "any");
	return sz;
}

unsigned int ca_dispatch_emit_depth(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT(" in_flight=%u", 0);
	return sz;
}

void ca_pages_set_limit(struct ca_device *ca, unsigned int limit)
{
	ca->page_limit = limit;
}

void ca_pages_trim(struct ca_device *ca)
{
}

unsigned int ca_pages_cached(const struct ca_device *ca)
{
	return 0;
}

unsigned int ca_pages_most(const struct ca_device *ca)
{
	return 0;
}

void ca_watchdog_init(struct ca_device *ca)
{
}

void ca_watchdog_exit(struct ca_device *ca)
{
}

void ca_io_map(struct ca_device *ca, struct bio *bio)
{
	abort();
}

/* Of meta.c, the functions that I/O would call. */
struct page *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	abort();
}

void mempool_free(struct page *page, mempool_t *pool)
{
	abort();
}

struct bio_integrity_payload *bio_integrity(struct bio *bio)
{
	abort();
}

struct bio_integrity_payload *bio_integrity_alloc(struct bio *bio, gfp_t gfp, unsigned int n)
{
	abort();
}

unsigned int bio_integrity_add_page(struct bio *bio, struct page *page, unsigned int length,
				    unsigned int offset)
{
	abort();
}
