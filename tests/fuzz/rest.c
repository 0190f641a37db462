// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the module that the fuzzer leaves out, since they never see anything that user space
 * wrote: I/O. What they take is taken, so that it has to be given back.
 */
#include "../../dm-crypt-async.h"
#include "../../src/map.h"
#include "../../src/names.h"
#include "../../src/submit.h"
#include "fuzz.h"

#include <stdlib.h>

int ca_fragments_init(struct ca_device *ca)
{
	return mempool_init_page_pool(&ca->fragments.pool, 1, 0);
}

void ca_fragments_exit(struct ca_fragments *fragments)
{
	mempool_exit(&fragments->pool);
}

int ca_accounts_init(void)
{
	return 0;
}

void ca_accounts_exit(void)
{
}

void ca_account_trim(struct ca_account *account)
{
}

unsigned int ca_account_held(const struct ca_account *account)
{
	return 0;
}

unsigned int ca_magazine_cached(void)
{
	return 0;
}

int ca_pages_init(struct ca_pages *pages)
{
	return mempool_init_page_pool(&pages->pool, 1, 0);
}

void ca_pages_exit(struct ca_pages *pages)
{
	mempool_exit(&pages->pool);
}

void ca_pages_set_limit(struct ca_pages *pages, unsigned int limit)
{
	pages->account.limit = limit;
}

unsigned int ca_pages_max_atomic_bytes(const struct ca_pages *pages)
{
	return 0;
}

int ca_workers_init(struct ca_device *ca)
{
	return 0;
}

void ca_workers_exit(struct ca_workers *workers)
{
}

void ca_workers_set_cpus(struct ca_workers *workers, const struct cpumask *mask)
{
	workers->is_pinned = mask && mask->bits;
}

unsigned int ca_workers_emit_cpus(const struct ca_workers *workers, char *result,
				  unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%s", workers->is_pinned ? "some" : "any");
	return sz;
}

void ca_dispatch_init(struct ca_device *ca)
{
	ca_dispatch_reset(&ca->dispatch);
}

unsigned int ca_dispatch_emit(const struct ca_device *ca, char *result, unsigned int maxlen)
{
	return 0;
}

void ca_dispatch_set_fragment(struct ca_dispatch *dispatch, int direction, unsigned int bytes)
{
	dispatch->fragment_bytes[direction] = bytes;
}

void ca_dispatch_reset(struct ca_dispatch *dispatch)
{
	ca_dispatch_set_fragment(dispatch, READ, 131072);
	ca_dispatch_set_fragment(dispatch, WRITE, 131072);
	dispatch->inline_bytes = 16384;
}

struct ca_inflight __percpu *ca_inflight_alloc(void)
{
	return alloc_percpu(struct ca_inflight);
}

unsigned int ca_inflight_emit(struct ca_inflight __percpu *inflight, char *result,
			      unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT(" in_flight=%u", 0);
	return sz;
}

struct ca_softirq __percpu *ca_softirq_alloc(void)
{
	return alloc_percpu(struct ca_softirq);
}

void ca_softirq_free(struct ca_softirq __percpu *softirqs)
{
	free_percpu(softirqs);
}

void ca_zoned_init(struct ca_zoned *zoned)
{
}

int ca_names_init(struct target_type *type)
{
	fuzz_world.target = type;
	return 0;
}

void ca_names_exit(void)
{
}

int ca_names_enter(struct ca_device *ca)
{
	return 0;
}

void ca_names_leave(struct ca_device *ca)
{
}

const char *ca_names_shown(const struct dm_target *ti)
{
	return ti->type->name;
}

void ca_writers_init(struct ca_writers *writers, struct ca_workers *workers,
		     void (*submit)(struct list_head *list))
{
}

void ca_writers_exit(struct ca_writers *writers)
{
}

void ca_submit_list(struct list_head *list)
{
}

void ca_watchdog_init(struct ca_watchdog *watchdog)
{
}

bool ca_watchdog_break(struct ca_watchdog *watchdog)
{
	return false;
}

void ca_watchdog_exit(struct ca_watchdog *watchdog)
{
}

void ca_map(struct ca_device *ca, struct bio *bio)
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
