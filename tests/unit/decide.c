// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests the decision where a fragment is converted: every combination of its arguments against
 * rules that are written down here, and once more as a table of cases that matter, with the place
 * by name. Then the averages of how long a conversion takes, what is overdue, the sizes of the
 * parts that a bio is split into, and when a lone bio is given away to see whether others follow.
 */
#include <limits.h>
#include <stdio.h>

#include "../../src/decide.h"
#include "../../src/probe.h"

#define KIB 1024
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define COMBINATIONS (6 * 128)

static int failures;
static int number;

static void point(int ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++number, what);
	failures += !ok;
}

struct rule {
	const char *text;
	int (*applies)(const struct ca_choice *choice);
	enum ca_where where;	/* where CA_INLINE, a hard interrupt's is CA_SOFTIRQ */
};

static int needs_worker(const struct ca_choice *c)
{
	return c->needs_worker && c->caller != CA_FROM_SLEEPER;
}

static int in_hardirq(const struct ca_choice *c)
{
	return c->caller == CA_FROM_HARDIRQ;
}

static int user_says(const struct ca_choice *c)
{
	return c->no_offload && !needs_worker(c);
}

static int large_in_interrupt(const struct ca_choice *c)
{
	return (c->caller == CA_FROM_SOFTIRQ || in_hardirq(c)) && c->bytes > c->max_inline &&
	       !c->no_offload && !c->needs_worker;
}

static int out_of_time(const struct ca_choice *c)
{
	return c->is_spent && !c->no_offload;
}

static int single(const struct ca_choice *c)
{
	return (c->is_depth_one || c->caller >= CA_FROM_WORKER) && !c->more && !c->is_spent &&
	       !needs_worker(c) && !large_in_interrupt(c);
}

static int nobody_helps(const struct ca_choice *c)
{
	return !c->has_helper && !c->is_spent && !needs_worker(c) && !large_in_interrupt(c);
}

static int shared(const struct ca_choice *c)
{
	return c->has_helper && !c->no_offload &&
	       (c->more || (!c->is_depth_one && c->caller < CA_FROM_WORKER));
}

static const struct rule rules[] = {
	{ "what only a worker may do goes to one", needs_worker, CA_QUEUE },
	{ "the user's options keep it here", user_says, CA_INLINE },
	{ "nothing large in an interrupt", large_in_interrupt, CA_QUEUE },
	{ "no more when the time is spent", out_of_time, CA_QUEUE },
	{ "a single one, and a worker's last, stays where it is", single, CA_INLINE },
	{ "without help it stays where it is", nobody_helps, CA_INLINE },
	{ "with help, work is shared", shared, CA_QUEUE },
	{ NULL },
};

/* Every combination, as bits of @n. */
static struct ca_choice combination(unsigned int n)
{
	static const enum ca_caller callers[] = {
		CA_FROM_MAP, CA_FROM_SUBMITTER, CA_FROM_SOFTIRQ, CA_FROM_HARDIRQ,
		CA_FROM_WORKER, CA_FROM_SLEEPER,
	};

	return (struct ca_choice) {
		.caller = callers[n / 128],
		.bytes = n & 1 ? 64 * KIB : 4 * KIB,
		.max_inline = 16 * KIB,
		.more = !!(n & 2),
		.needs_worker = !!(n & 4),
		.no_offload = !!(n & 8),
		.is_depth_one = !!(n & 16),
		.has_helper = !!(n & 32),
		.is_spent = !!(n & 64),
	};
}

static enum ca_where where_of(const struct rule *rule, const struct ca_choice *choice)
{
	return rule->where == CA_INLINE && in_hardirq(choice) ? CA_SOFTIRQ : rule->where;
}

static void check_rule(const struct rule *rule)
{
	unsigned int applied = 0;
	int ok = 1;
	unsigned int n;

	for (n = 0; n < COMBINATIONS; n++) {
		struct ca_choice choice = combination(n);

		if (!rule->applies(&choice))
			continue;
		applied++;
		if (ca_decide(&choice) != where_of(rule, &choice)) {
			printf("# combination %u\n", n);
			ok = 0;
		}
	}
	printf("# %u combinations\n", applied);
	point(ok && applied, rule->text);
}

/* Nothing is done in a hard interrupt, whatever the rules say. */
static void check_hardirq(void)
{
	unsigned int n;
	int ok = 1;

	for (n = 0; n < COMBINATIONS; n++) {
		struct ca_choice choice = combination(n);

		if (in_hardirq(&choice) && ca_decide(&choice) == CA_INLINE)
			ok = 0;
	}
	point(ok, "nothing is done in a hard interrupt");
}

/* Each combination is some rule's. */
static void check_complete(void)
{
	unsigned int n;
	size_t i;
	int ok = 1;

	for (n = 0; n < COMBINATIONS; n++) {
		struct ca_choice choice = combination(n);
		int found = 0;

		for (i = 0; rules[i].text; i++)
			found |= rules[i].applies(&choice);
		if (!found) {
			printf("# combination %u\n", n);
			ok = 0;
		}
	}
	point(ok, "there is a rule for everything");
}

#define SETTING		(64 * KIB)

/*
 * Reads of @bytes with a cipher that takes @ns for a KiB: how many of the next 1000 are converted
 * in the interrupt.
 */
static int inline_of(unsigned int *guess, unsigned int bytes, unsigned int ns)
{
	int found = 0;
	int i;

	for (i = 0; i < 1000; i++) {
		if (bytes <= ca_inline_max(SETTING, *guess)) {
			*guess = ca_ewma_add(*guess, ns);
			found++;
		} else {
			*guess = ca_ewma_decay(*guess);
		}
	}
	return found;
}

static void check_guess(void)
{
	unsigned int guess = 0;

	point(ca_inline_max(SETTING, 0) == SETTING, "nothing known: the user's bound");
	point(ca_inline_max(0, 0) == 0 && ca_inline_max(0, 100) == 0, "the user wants none");
	point(ca_inline_max(SETTING, 1) == SETTING, "a very fast cipher: the user's bound");
	point(ca_inline_max(SETTING, ~0U) == CA_INLINE_MIN, "a very slow one: the least");
	point(inline_of(&guess, SETTING, 4000) == 1000, "256 us for a read: always");
	guess = ca_ewma_add(guess, 1000000);
	point(ca_inline_max(SETTING, guess) < SETTING, "one that was interrupted for long counts");
	point(inline_of(&guess, SETTING, 4000) > 0 && inline_of(&guess, SETTING, 4000) == 1000,
	      "but not for ever");
	inline_of(&guess, SETTING, 100000);
	point(inline_of(&guess, SETTING, 100000) < 20, "6.4 ms for a read: hardly ever");
	point(inline_of(&guess, CA_INLINE_MIN, 100000) == 1000, "the least: always");
}

/* How many of 1000 fragments are handed over, if it takes so long to wake a worker. */
static int handed_over(unsigned int *guess, unsigned int bytes, unsigned int kib_ns,
		       unsigned int ns)
{
	int found = 0;
	int i;

	for (i = 0; i < 1000; i++) {
		if (ca_is_worth_wake(bytes, kib_ns, *guess)) {
			*guess = ca_ewma_add(*guess, ns);
			found++;
		} else {
			*guess = ca_ewma_decay(*guess);
		}
	}
	return found;
}

static void check_wake(void)
{
	unsigned int guess = 0;

	point(ca_is_worth_wake(4096, 0, 0), "nothing known: it is tried");
	point(!ca_is_worth_wake(4096, 0, 100), "a wake-up is known: next a conversion is");
	point(handed_over(&guess, 65536, 4000, 30000) == 1000, "256 us, 30 us to wake: always");
	point(handed_over(&guess, 4096, 4000, 30000) < 50, "16 us, 30 us to wake: hardly ever");
	guess = ca_ewma_add(guess, 1000000000);
	point(!ca_is_worth_wake(65536, 4000, guess), "one that was interrupted for long counts");
	handed_over(&guess, 65536, 4000, 30000);
	handed_over(&guess, 65536, 4000, 30000);
	point(handed_over(&guess, 65536, 4000, 30000) == 1000, "but not for ever");
	point(ca_is_worth_wake(1 << 20, ~0U, 1000000000), "a MiB of a very slow cipher");
}

static void check_overdue(void)
{
	point(!ca_is_overdue(LONG_MAX, 1000, 0), "no timeout: never");
	point(!ca_is_overdue(29999, 1000, 30) && ca_is_overdue(30000, 1000, 30),
	      "after the timeout, and no sooner");
	point(!ca_is_overdue(INT_MAX, 100, UINT_MAX), "a timeout that 32 bits have no jiffies for");
	point(!ca_is_overdue(-1, 1000, 1), "asked after the clock was read");
}

/* Splits a bio of @bytes. Return: whether each part is one that the lower device takes. */
static int split_fits(unsigned int bytes, unsigned int max_split, unsigned int min_split,
		      unsigned int sharers, unsigned int block)
{
	unsigned int rest = bytes;
	unsigned int size;

	for (; rest; rest -= size) {
		size = ca_split_size(rest, max_split, min_split, sharers, block);
		if (!size || size > rest || size % block || (size > max_split && size > block) ||
		    (size < min_split && size < max_split && size < rest))
			return 0;
	}
	return 1;
}

/* Each size of a bio and each setting, for a lower device with blocks of @device_block bytes. */
static void check_split(unsigned int device_block)
{
	const unsigned int block = device_block > 4 * KIB ? device_block : 4 * KIB;
	unsigned int bytes, max_split, min_split, sharers;
	char text[64];
	int ok = 1;

	for (bytes = block; bytes <= 1024 * KIB + block; bytes += block)
		for (max_split = 4 * KIB; max_split <= 1024 * KIB; max_split *= 4)
			for (min_split = 0; min_split <= 32 * KIB; min_split += 16 * KIB)
				for (sharers = 2; sharers <= 128; sharers += sharers / 2)
					ok &= split_fits(bytes, max_split, min_split, sharers,
							 block);
	snprintf(text, sizeof(text), "parts for a device with blocks of %u", device_block);
	point(ok, text);
}

/* Whether a write is cut into bios that a lower device with such blocks takes. */
static int write_fits(unsigned int bytes, unsigned int max, unsigned int block)
{
	unsigned int rest = bytes;
	unsigned int size;

	for (; rest; rest -= size) {
		size = ca_write_size(rest, max, block);
		if (!size || size > rest || size % block || (size > max && size > block))
			return 0;
	}
	return 1;
}

static void check_writes(void)
{
	unsigned int block, bytes, max;
	int ok = 1;

	for (block = 4 * KIB; block <= 64 * KIB; block *= 2)
		for (bytes = block; bytes <= 1024 * KIB + block; bytes += block)
			for (max = 512; max <= 1280 * KIB; max += max / 2 + 512)
				ok &= write_fits(bytes, max, block);
	point(ok, "bios for devices of each block and each limit");
	point(ca_write_size(1024 * KIB, 255 * 512, 4 * KIB) == 124 * KIB,
	      "a limit that is no multiple of the block");
	point(ca_write_size(4608, 1024 * KIB, 4 * KIB) == 4608, "one bio, if that has room");
}

static void check_splits(void)
{
	unsigned int block;

	for (block = 512; block <= 64 * KIB; block *= 2)
		check_split(block);
	point(ca_split_size(4608, 128 * KIB, 0, 0, 4 * KIB) == 4608 &&
	      ca_split_size(4608, 4 * KIB, 0, 0, 4 * KIB) == 4 * KIB,
	      "the last part is what is left");
	point(ca_split_size(1024 * KIB, 128 * KIB, 32 * KIB, 16, 4 * KIB) == 64 * KIB &&
	      ca_split_size(100 * KIB, 128 * KIB, 32 * KIB, 16, 4 * KIB) == 32 * KIB,
	      "shared: a part of the rest, and no less than the least");
}

/* ------------------------------------------------------------------------------ probes */

#define SECOND 100	/* jiffies */
#define LATEST (SECOND / CA_PROBE_LATEST)
#define CHANGE (SECOND / CA_PROBE_CHANGE)

/* Lone bios of one kind of work up to the next probe, a jiffy each @per_jiffy of them. */
static unsigned int until_probe(struct ca_probe *probe, unsigned long work, unsigned long *now,
				unsigned int per_jiffy)
{
	unsigned int count = 1;

	while (count < 5000 && ca_probe_is_lone(probe, work, *now, SECOND))
		if (count++ % per_jiffy == 0)
			++*now;
	return count;
}

static void check_gaps(void)
{
	static const unsigned int wanted[] = { 16, 32, 64, 128, 256, 512, 512, 512 };
	struct ca_probe probe = { .gap = CA_PROBE_MIN };
	unsigned long now = 1000;
	int ok = 1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		ok &= until_probe(&probe, 1, &now, 10000) == wanted[i];
	point(ok, "probes of quick bios become rare, but for one of 512");

	ok = 1;
	for (i = 0; i < 16; i++)
		ok &= until_probe(&probe, 1, &now, 200) == CA_PROBE_MAX;
	point(ok, "for as long as the work is the same");

	ok = 1;
	now += LATEST;
	until_probe(&probe, 1, &now, 10);
	for (i = 0; i < 8; i++)
		ok &= until_probe(&probe, 1, &now, 10) <= 10 * (LATEST + 1);
	point(ok, "and those of slow bios come after a time");
	ok = 1;
	for (i = 0; i < 8; i++)
		ok &= until_probe(&probe, 1, &now, 1) == CA_PROBE_MIN;
	point(ok, "but not more often than after 16 bios");
}

static void check_other_work(void)
{
	struct ca_probe probe = { .gap = CA_PROBE_MIN };
	unsigned int probes = 0;
	unsigned long now = 1000;
	unsigned int i;

	for (i = 0; i < 8; i++)
		until_probe(&probe, 1, &now, 10000);
	point(until_probe(&probe, 2, &now, 10000) == CA_PROBE_MAX, "other work again waits");
	now += LATEST;
	until_probe(&probe, 2, &now, 10000);
	point(until_probe(&probe, 1, &now, 10000) == CA_PROBE_MIN, "other work is looked at soon");
	point(until_probe(&probe, 1, &now, 10000) == 2 * CA_PROBE_MIN, "and then less often");

	/* Two kinds in turns, 5000 bios in a time in which a probe may be made for each change. */
	for (i = 0; i < 8; i++)
		until_probe(&probe, 3, &now, 10000);
	now += CHANGE;
	for (i = 0; i < 5000; i++)
		probes += !ca_probe_is_lone(&probe, 3 + i % 2, now, SECOND);
	printf("# %u probes\n", probes);
	point(probes >= 10 && probes <= 20, "mixed work has no more probes than other work");
}

static void check_depth(void)
{
	struct ca_probe probe = { .gap = CA_PROBE_MIN };
	unsigned long now = 1000;
	unsigned int i;
	int ok = 1;

	for (i = 0; i < 8; i++)
		until_probe(&probe, 1, &now, 10000);
	ca_probe_saw_depth(&probe);
	for (i = 0; i < CA_PROBE_DEEP; i++)
		ok &= !ca_probe_is_lone(&probe, 1, now, SECOND);
	point(ok, "bios that come one by one after others were in flight are taken for many");
	point(until_probe(&probe, 1, &now, 10000) == CA_PROBE_MIN, "and looked at soon");
}

int main(void)
{
	static const struct {
		const char *text;
		struct ca_choice choice;
		enum ca_where where;
	} cases[] = {
		{ "a 4k write, one at a time, however many CPUs are idle",
		  { .caller = CA_FROM_MAP, .bytes = 4 * KIB, .is_depth_one = 1, .has_helper = 1 },
		  CA_INLINE },
		{ "a 4k write among many, with an idle CPU",
		  { .caller = CA_FROM_MAP, .bytes = 4 * KIB, .has_helper = 1 }, CA_QUEUE },
		{ "a 4k write among many, all workers have enough to do",
		  { .caller = CA_FROM_MAP, .bytes = 4 * KIB }, CA_INLINE },
		{ "the first part of a 1 MiB write",
		  { .caller = CA_FROM_MAP, .bytes = 128 * KIB, .more = 1, .is_depth_one = 1,
		    .has_helper = 1 }, CA_QUEUE },
		{ "its last part",
		  { .caller = CA_FROM_MAP, .bytes = 128 * KIB, .is_depth_one = 1, .has_helper = 1 },
		  CA_INLINE },
		{ "a 4k read that an interrupt ends",
		  { .caller = CA_FROM_SOFTIRQ, .bytes = 4 * KIB, .max_inline = 16 * KIB,
		    .is_depth_one = 1 }, CA_INLINE },
		{ "a 4k read that a hard interrupt ends",
		  { .caller = CA_FROM_HARDIRQ, .bytes = 4 * KIB, .max_inline = 16 * KIB,
		    .is_depth_one = 1 }, CA_SOFTIRQ },
		{ "one of many that a hard interrupt ends, with an idle CPU",
		  { .caller = CA_FROM_HARDIRQ, .bytes = 4 * KIB, .max_inline = 16 * KIB,
		    .has_helper = 1 }, CA_QUEUE },
		{ "a 64k read that an interrupt ends",
		  { .caller = CA_FROM_SOFTIRQ, .bytes = 64 * KIB, .max_inline = 16 * KIB,
		    .is_depth_one = 1 }, CA_QUEUE },
		{ "the same with no_read_workqueue",
		  { .caller = CA_FROM_SOFTIRQ, .bytes = 64 * KIB, .max_inline = 16 * KIB,
		    .no_offload = 1 }, CA_INLINE },
		{ "an authenticated write",
		  { .caller = CA_FROM_MAP, .bytes = 4 * KIB, .needs_worker = 1, .is_depth_one = 1 },
		  CA_QUEUE },
		{ NULL },
	};
	size_t i;

	for (i = 0; rules[i].text; i++)
		check_rule(&rules[i]);
	check_complete();
	check_hardirq();
	check_guess();
	check_wake();
	check_overdue();
	check_splits();
	check_writes();
	check_gaps();
	check_other_work();
	check_depth();
	for (i = 0; cases[i].text; i++)
		point(ca_decide(&cases[i].choice) == cases[i].where, cases[i].text);
	printf("1..%d\n", number);
	return failures != 0;
}
