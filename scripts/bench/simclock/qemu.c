// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions of QEMU that no header promises to a plugin: found by name, and put in place of
 * QEMU's clock. Each function here returns NULL, or what is wrong, in one sentence.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "qemu.h"

struct qemu qemu;

static __thread bool tried;

/* QEMU's way to wait on a condition variable, which it calls through a pointer. */
static void (*usual_wait)(void *condition, void *mutex, const char *file, int line);
static __thread bool skip_wait;

const char *qemu_find(void)
{
	static const struct {
		const char *name;
		void *where;
	} wanted[] = {
		{ "bql_lock_impl", &qemu.bql_lock_impl },
		{ "bql_unlock", &qemu.bql_unlock },
		{ "qemu_clock_run_timers", &qemu.qemu_clock_run_timers },
		{ "timerlist_deadline_ns", &qemu.timerlist_deadline_ns },
		{ "qemu_get_cpu", &qemu.qemu_get_cpu },
		{ "cpu_thread_is_idle", &qemu.cpu_thread_is_idle },
		{ "all_cpu_threads_idle", &qemu.all_cpu_threads_idle },
		{ "async_run_on_cpu", &qemu.async_run_on_cpu },
		{ "object_class_by_name", &qemu.object_class_by_name },
		{ "cpu_get_clock", &qemu.cpu_get_clock },
		{ "cpus_get_virtual_clock", &qemu.cpus_get_virtual_clock },
		{ "cpus_get_elapsed_ticks", &qemu.cpus_get_elapsed_ticks },
		{ "rcu_register_thread", &qemu.rcu_register_thread },
		{ "main_loop_tlg", &qemu.main_loop_tlg },
	};
	static char problem[128];
	size_t i;

	for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		void *found = dlsym(RTLD_DEFAULT, wanted[i].name);

		if (!found) {
			snprintf(problem, sizeof(problem), "this QEMU does not export %s",
				 wanted[i].name);
			return problem;
		}
		memcpy(wanted[i].where, &found, sizeof(found));
	}
	return NULL;
}

/*
 * Nanoseconds until the next timer of a device, 0 if it is due, -1 if there is none. Other lists of
 * timers, of block devices' threads, do not count: qemu_clock_run_timers() does not run them, so
 * that one that is due would keep time from ever going on. Their own threads run them.
 */
s64 qemu_timer_deadline_ns(void)
{
	return qemu.timerlist_deadline_ns(qemu.main_loop_tlg[SIMCLOCK_VIRTUAL]);
}

static s64 trial(void)
{
	tried = true;
	return qemu.cpu_get_clock();
}

/*
 * Finds the slot of the accelerator's class that a function of QEMU calls through, whatever
 * version QEMU is of: puts a function into one slot after the other until it is called. It is as
 * good a clock as QEMU's own, if another thread asks meanwhile, and the caller holds QEMU's big
 * lock, so that no thread uses the class for anything else. All slots come after the class's
 * common head, which is all that the class "object" has.
 */
static void **slot_of(s64 (*caller)(void))
{
	char *class = qemu.object_class_by_name("tcg-accel-ops");
	void *head = qemu.object_class_by_name("object");
	size_t at, end;

	if (!class || !head)
		return NULL;
	end = malloc_usable_size(class) / sizeof(void *);
	for (at = malloc_usable_size(head) / sizeof(void *); at < end; at++) {
		void **slot = (void **)class + at;
		void *before = *slot;
		bool found;

		tried = false;
		__atomic_store_n(slot, (void *)trial, __ATOMIC_SEQ_CST);
		caller();
		found = tried;
		__atomic_store_n(slot, before, __ATOMIC_SEQ_CST);
		if (found)
			return slot;
	}
	return NULL;
}

static void wait_unless_skipped(void *condition, void *mutex, const char *file, int line)
{
	if (skip_wait)
		skip_wait = false;
	else
		usual_wait(condition, mutex, file, line);
}

static void watch_waits(void)
{
	void **wait = dlsym(RTLD_DEFAULT, "qemu_cond_wait_func");

	if (!wait || !*wait)
		return;
	memcpy(&usual_wait, wait, sizeof(usual_wait));
	__atomic_store_n(wait, (void *)wait_unless_skipped, __ATOMIC_SEQ_CST);
}

/* Drives the guest's devices and counters of cycles by clock(). Under QEMU's big lock. */
const char *qemu_replace_clock(s64 (*clock)(void))
{
	bool *threads = dlsym(RTLD_DEFAULT, "mttcg_enabled");
	void **virtual_clock, **ticks;

	if (threads && !*threads)
		return "a thread for each processor is needed, -accel tcg,thread=multi";
	virtual_clock = slot_of(qemu.cpus_get_virtual_clock);
	ticks = slot_of(qemu.cpus_get_elapsed_ticks);
	if (!virtual_clock || !ticks)
		return "the clock of this QEMU cannot be replaced: it emulates in an unknown way";
	if (*virtual_clock || *ticks)
		return "QEMU counts instructions itself, with -icount, which does not go with this";
	__atomic_store_n(virtual_clock, (void *)clock, __ATOMIC_SEQ_CST);
	__atomic_store_n(ticks, (void *)clock, __ATOMIC_SEQ_CST);
	watch_waits();
	return NULL;
}

bool qemu_can_skip_waits(void)
{
	return usual_wait;
}

/*
 * A processor's thread calls this when it halts, after something that has ended the halt: QEMU does
 * not check again before it waits.
 */
void qemu_skip_next_wait(void)
{
	skip_wait = qemu_can_skip_waits();
}
