// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time that is made of executed instructions.
 *
 * Each processor has a local time, in picoseconds, which grows by what its instructions cost. The
 * machine's time is the minimum of the local times of the processors that are not halted. One
 * processor runs at a time, until it is ahead of the slowest one by more than a quantum, or halts;
 * then it is the slowest one's turn. If they ran side by side, which of two comes first to what
 * both want, and how old what it sees of the other is, would depend on how the host runs their
 * threads. One that waits for its turn does so in one of two places.
 *
 * - Within translated code, which costs little. But QEMU sometimes stops all processors at the end
 *   of their block of translated code; if the slowest one has asked for that, it waits for those
 *   that wait for it.
 * - After clock_settings.inside_ns of the host, between two blocks, where QEMU can stop it at any
 *   time. There it waits until its turn comes. If it went on early, results would depend on a busy
 *   host, which may delay the slowest thread for much longer than that. After outside_ns it goes on
 *   all the same, since the slowest one is stuck or being stopped: a forced step, which is counted.
 *
 * If all processors are halted, time jumps to the next timer. A halted processor that an interrupt
 * has come for counts as running from that moment on, although its thread has not noticed: how
 * long the host takes to wake a thread is no time of the guest's.
 *
 * Waits go by the host's monotonic clock, so that setting the host's time changes nothing.
 *
 * QEMU's big lock comes before the lock here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define NEVER			(~0ull)
#define NS_PER_S		1000000000l
#define MAIN_LOOP_BEHIND_NS	NS_PER_S
#define JUMPS_MAX		64	/* without another thread that has QEMU's big lock */
#define SAMPLE_PS		(1000000 * PS_PER_NS)

/* struct vcpu: a processor; all of it is protected by the lock */
struct vcpu {
	struct qemu_cpu *cpu;
	bool halted;
	bool waits;
	u64 credit;		/* of its counter: not executed (clock_processor_resumes()) */
	u64 time;		/* local */
	u64 busy;		/* ps of all that it has executed since simulation began */
	pthread_cond_t turn;
};

struct clock_settings clock_settings = {
	.inside_ns = 2000000,
	.outside_ns = NS_PER_S,
};

struct simclock_counter clock_counter;	/* of each processor: ps not yet in struct vcpu */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Protected by the lock, without which clock_now_ns() reads some of it: see there. */
static pthread_cond_t all_halted = PTHREAD_COND_INITIALIZER;
static struct vcpu vcpus[MAX_VCPUS];
static unsigned int vcpu_count;
static struct vcpu *runner;	/* the one whose turn it is; NULL: all were halted */
static u32 changes;		/* of simulating and host_offset_ns: odd while they are made */
static bool simulating;
static u64 now;
static u64 timers_run;		/* up to this time, by a processor's thread */
static u64 next_sample;
static s64 host_offset_ns;	/* keeps time from going back when simulation ends */
static s64 host_start_ns;	/* the host's time when simulation began */
static unsigned int forced;	/* how often a processor went on without its turn */

static __thread bool is_main_loop;

/* QEMU's main loop is run by the thread that calls this. */
void clock_set_main_loop(void)
{
	is_main_loop = true;
}

static bool is_simulating(void)
{
	return __atomic_load_n(&simulating, __ATOMIC_ACQUIRE);
}

static void set_now(u64 ps)
{
	__atomic_store_n(&now, ps, __ATOMIC_RELEASE);
}

static s64 host_now_ns(void)
{
	return qemu.cpu_get_clock() + __atomic_load_n(&host_offset_ns, __ATOMIC_RELAXED);
}

static s64 simulated_now_ns(void)
{
	return __atomic_load_n(&now, __ATOMIC_ACQUIRE) / PS_PER_NS;
}

/* Context: the lock, from one call to the next. */
static void toggle_change(void)
{
	__atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
}

/* Waits while a change is made. Return: the number of changes. */
static u32 changes_made(void)
{
	u32 made;

	while ((made = __atomic_load_n(&changes, __ATOMIC_ACQUIRE)) & 1)
		sched_yield();
	return made;
}

/*
 * The guest's clock: nanoseconds, and cycles of 1 GHz. It is read again if it was changed
 * meanwhile: else a thread could see a time of the host that is later than the one at which
 * simulation begins, and so see time go back. QEMU's main loop sees an earlier time, so that it
 * leaves timers to the threads here. It would sleep until the next one, which is too soon to sleep
 * at all, and so take a whole processor of the host, and QEMU's big lock.
 */
s64 clock_now_ns(void)
{
	u32 made;
	s64 ns;

	do {
		made = changes_made();
		if (is_simulating())
			ns = simulated_now_ns() - (is_main_loop ? MAIN_LOOP_BEHIND_NS : 0);
		else
			ns = host_now_ns();
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&changes, __ATOMIC_RELAXED) != made);
	return ns;
}

/* Notes once in a millisecond how long each processor was busy, and how many steps were forced. */
static void sample(void)
{
	unsigned int i;

	if (now < next_sample || !clock_settings.busy)
		return;
	next_sample = now - now % SAMPLE_PS + SAMPLE_PS;
	fprintf(clock_settings.busy, "%llu %u", now / PS_PER_NS, forced);
	for (i = 0; i < vcpu_count; i++)
		fprintf(clock_settings.busy, " %llu", vcpus[i].busy / PS_PER_NS);
	fputc('\n', clock_settings.busy);
}

static void end_halt(struct vcpu *v, u64 delay)
{
	v->halted = false;
	if (v->time < now + delay)
		v->time = now + delay;
}

static bool is_too_early(const struct vcpu *v)
{
	return is_simulating() && v != runner;
}

/* Return: the processor with the minimum of local times, NULL if all are halted. */
static struct vcpu *slowest(void)
{
	struct vcpu *found = NULL;
	unsigned int i;

	for (i = 0; i < vcpu_count; i++)
		if (!vcpus[i].halted && (!found || vcpus[i].time < found->time))
			found = &vcpus[i];
	return found;
}

/*
 * Lets the machine's time go on as far as the slowest has come. Context: the thread of the
 * processor whose turn it is, or of any if it is nobody's. Return: is anybody running?
 */
static bool advance(void)
{
	struct vcpu *last;
	unsigned int i;

	for (i = 0; i < vcpu_count; i++) {
		struct vcpu *v = &vcpus[i];

		if (v->halted && v->cpu && !qemu.cpu_thread_is_idle(v->cpu))
			end_halt(v, clock_settings.wake);
	}
	last = slowest();
	if (!last)
		return false;
	if (last->time > now) {
		set_now(last->time);
		sample();
	}
	return true;
}

/* Ends a turn, if it is over. Context: as for advance(). */
static void pass_turn(void)
{
	if (runner && !runner->halted && runner->time <= now + clock_settings.quantum)
		return;
	runner = slowest();
	if (runner && runner->waits)
		pthread_cond_signal(&runner->turn);
}

/*
 * Runs the timers that are due, once for each time. Context: the lock, which is given up meanwhile,
 * but not the turn. Return: were there any?
 */
static bool run_due_timers(bool has_big_lock)
{
	bool due;

	if (timers_run == now)
		return false;
	timers_run = now;
	pthread_mutex_unlock(&lock);
	due = !qemu_timer_deadline_ns();
	if (due) {
		if (!has_big_lock)
			qemu.bql_lock_impl(__FILE__, __LINE__);
		qemu.qemu_clock_run_timers(SIMCLOCK_VIRTUAL);
		if (!has_big_lock)
			qemu.bql_unlock();
	}
	pthread_mutex_lock(&lock);
	return due;
}

/*
 * Lets time go on, with what it brings about, and then the turn. Context: as for advance(). Return:
 * is anybody running?
 */
static bool go_on(bool has_big_lock)
{
	bool running = advance();

	if (running && run_due_timers(has_big_lock))
		advance();
	pass_turn();
	return running;
}

static u64 *uncounted(unsigned int index)
{
	return qemu_plugin_scoreboard_find(clock_counter.score, index);
}

static void account(struct vcpu *v, unsigned int index)
{
	u64 *ps = uncounted(index), executed = *ps - v->credit;

	v->time += executed;
	v->busy += executed;
	v->credit = 0;
	*ps = 0;
}

static struct timespec host_time_in(long ns)
{
	struct timespec when;

	clock_gettime(CLOCK_MONOTONIC, &when);
	when.tv_nsec += ns;
	when.tv_sec += when.tv_nsec / NS_PER_S;
	when.tv_nsec %= NS_PER_S;
	return when;
}

/* Waits for a processor's turn, not longer than the host's clock allows. Return: has it come? */
static bool wait_for_turn(struct vcpu *v, long ns)
{
	struct timespec until = host_time_in(ns);
	int error = 0;

	while (is_too_early(v) && error != ETIMEDOUT) {
		v->waits = true;
		error = pthread_cond_clockwait(&v->turn, &lock, CLOCK_MONOTONIC, &until);
		v->waits = false;
	}
	return !is_too_early(v);
}

/* A processor's thread has come out of translated code, to wait here, with QEMU's big lock. */
static void wait_outside(struct qemu_cpu *cpu, void *data)
{
	struct vcpu *v = data;

	qemu.bql_unlock();
	pthread_mutex_lock(&lock);
	if (!wait_for_turn(v, clock_settings.outside_ns))
		forced++;
	pthread_mutex_unlock(&lock);
	qemu.bql_lock_impl(__FILE__, __LINE__);
}

/*
 * A processor has executed a quantum, or was woken; it is about to execute another block of
 * translated code.
 */
void clock_quantum_over(unsigned int index, void *data)
{
	struct vcpu *v = &vcpus[index];
	bool on_time;

	if (!is_simulating()) {
		*uncounted(index) = 0;
		v->credit = 0;
		return;
	}
	pthread_mutex_lock(&lock);
	if (v->credit) {
		/* What it executes now counts later, when its halt is sure to have ended. */
		*uncounted(index) -= v->credit;
		v->credit = 0;
	} else {
		account(v, index);
	}
	if (!runner || runner == v)
		go_on(false);
	on_time = wait_for_turn(v, clock_settings.inside_ns);
	pthread_mutex_unlock(&lock);
	if (!on_time)
		qemu.async_run_on_cpu(v->cpu, wait_outside, v);
}

void clock_add_processor(unsigned int index)
{
	struct vcpu *v = &vcpus[index];

	pthread_mutex_lock(&lock);
	v->cpu = qemu.qemu_get_cpu(index);
	v->halted = true;
	pthread_cond_init(&v->turn, NULL);
	if (index >= vcpu_count)
		vcpu_count = index + 1;
	pthread_mutex_unlock(&lock);
}

/* Are all halted, and does no thread have a reason to go on? */
static bool is_time_free(void)
{
	unsigned int i;

	for (i = 0; i < vcpu_count; i++)
		if (!vcpus[i].halted)
			return false;
	return is_simulating() && qemu.all_cpu_threads_idle();
}

/*
 * Goes on to the next timer, if all processors are halted still. Context: QEMU's big lock. Return:
 * was there one?
 */
static bool jump(void)
{
	s64 ns = -1;

	pthread_mutex_lock(&lock);
	if (is_time_free())
		ns = qemu_timer_deadline_ns();
	if (ns > 0) {
		set_now(now + ns * PS_PER_NS);
		timers_run = now;
		sample();
	}
	pthread_mutex_unlock(&lock);
	if (ns >= 0)
		qemu.qemu_clock_run_timers(SIMCLOCK_VIRTUAL);
	return ns >= 0;
}

/*
 * A processor halts. If it is the last one, its thread goes on to the next timer at once, since
 * most often that wakes the same processor: two threads that wake each other for each I/O would
 * wait for a busy host each time. A timer may also be due while another processor runs. If the one
 * that halts has been woken meanwhile, its thread must not wait: QEMU tells a waiting thread, and
 * this one does not wait yet. Context: QEMU's big lock.
 */
void clock_processor_halts(u64 id, unsigned int index)
{
	struct vcpu *v = &vcpus[index];
	unsigned int jumps = 0;
	bool simulated, last;

	pthread_mutex_lock(&lock);
	simulated = is_simulating();
	if (simulated)
		account(v, index);
	v->halted = true;
	last = simulated && (!runner || runner == v) && !go_on(true);
	pthread_mutex_unlock(&lock);
	if (!simulated)
		return;
	while (last && qemu_can_skip_waits() && jumps++ < JUMPS_MAX && jump())
		;
	if (!qemu.cpu_thread_is_idle(v->cpu))
		qemu_skip_next_wait();
	else if (last)
		pthread_cond_signal(&all_halted);
}

/*
 * A processor's thread leaves its halt. Its counter is set so that it waits for its turn before the
 * first block that it executes: else it would execute a quantum at once, that is, as early as the
 * host has woken its thread. If it is the turn of another one, advance() ends the halt there.
 * Context: QEMU's big lock.
 */
void clock_processor_resumes(u64 id, unsigned int index)
{
	struct vcpu *v = &vcpus[index];

	pthread_mutex_lock(&lock);
	if (!is_simulating()) {
		v->halted = false;
	} else {
		*uncounted(index) += clock_settings.quantum;
		v->credit += clock_settings.quantum;
		if (!runner)
			go_on(true);
	}
	pthread_mutex_unlock(&lock);
}

static void start(void)
{
	unsigned int i;

	toggle_change();
	set_now(host_now_ns() * PS_PER_NS);
	for (i = 0; i < vcpu_count; i++) {
		vcpus[i].time = now;
		vcpus[i].busy = 0;
	}
	runner = slowest();
	__atomic_store_n(&simulating, true, __ATOMIC_RELEASE);
	toggle_change();
	host_start_ns = qemu.cpu_get_clock();
	next_sample = 0;
	forced = 0;
	if (clock_settings.busy) {
		rewind(clock_settings.busy);
		if (ftruncate(fileno(clock_settings.busy), 0))
			perror("simclock");
		sample();
		fflush(clock_settings.busy);
	}
}

static void stop(void)
{
	unsigned int i;

	toggle_change();
	__atomic_store_n(&host_offset_ns, simulated_now_ns() - qemu.cpu_get_clock(),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&simulating, false, __ATOMIC_RELEASE);
	toggle_change();
	for (i = 0; i < vcpu_count; i++)
		pthread_cond_signal(&vcpus[i].turn);
	if (clock_settings.busy) {
		fprintf(clock_settings.busy, "end %lld %u %lld\n", simulated_now_ns(), forced,
			qemu.cpu_get_clock() - host_start_ns);
		fflush(clock_settings.busy);
	}
}

/* Goes over to simulated time, or back to the host's. */
void clock_simulate(bool on)
{
	pthread_mutex_lock(&lock);
	if (on && !is_simulating())
		start();
	else if (!on && is_simulating())
		stop();
	pthread_mutex_unlock(&lock);
}

/*
 * Waits until all processors are halted in simulated time, not longer than ns. Return: are they?
 * While a thread is on its way out of its halt, this sleeps until it halts again.
 */
bool clock_wait_until_halted(long ns)
{
	struct timespec until = host_time_in(ns);
	bool halted;

	pthread_mutex_lock(&lock);
	if (!is_time_free())
		pthread_cond_clockwait(&all_halted, &lock, CLOCK_MONOTONIC, &until);
	halted = is_time_free();
	pthread_mutex_unlock(&lock);
	return halted;
}

/* The timekeeper goes on to the next timer. */
void clock_jump(void)
{
	qemu.bql_lock_impl(__FILE__, __LINE__);
	jump();
	qemu.bql_unlock();
}
