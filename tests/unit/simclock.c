// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks of scripts/bench/simclock with a made-up QEMU of two processors. With the name of an
 * architecture: reads the code of an instruction in each line, in hexadecimal, and prints its
 * kind. With that of a check: prints what is wrong. See simclock.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "kind.h"

#define PROCESSORS	2
#define HOST_NS		1000
#define QUANTUM_NS	500
#define WAKE_NS		2000
#define SHORT_NS	1000000		/* a wait's limit that is soon over */
#define LONG_NS		600000000000	/* one that no check lives to see */
#define LIMIT_S		50		/* of a check */
#define MOMENT_US	20000		/* in which a thread that goes on is seen to do so */

static u64 executed[PROCESSORS];
static bool idle[PROCESSORS];
static s64 host_ns = HOST_NS;
static s64 timer_at = -1;	/* when it is due, or -1 */
static int timer_wakes = -1;	/* a processor */
static int timer_sees_wait = -1;	/* likewise */
static unsigned int timer_runs, times_outside, halts_awaited;
static void (*before_host_clock)(void), (*after_host_clock)(void);
static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
static bool failed;

static void expect(const char *what, s64 got, s64 wanted)
{
	if (got == wanted)
		return;
	printf("%s: %lld, expected %lld\n", what, got, wanted);
	failed = true;
}

/* --- the made-up QEMU --- */

void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu)
{
	return &executed[vcpu];
}

static void lock_big(const char *file, int line)
{
	pthread_mutex_lock(&big_lock);
}

static void unlock_big(void)
{
	pthread_mutex_unlock(&big_lock);
}

static bool is_due(void)
{
	return timer_at >= 0 && timer_at <= clock_now_ns();
}

static void expect_waits(const char *what, unsigned int index);

static bool run_timers(int clock)
{
	expect("the clock", clock, SIMCLOCK_VIRTUAL);
	if (!is_due())
		return false;
	if (timer_sees_wait >= 0)
		expect_waits("the turn does not come before timers have run", timer_sees_wait);
	timer_runs++;
	timer_at = -1;
	if (timer_wakes >= 0)
		idle[timer_wakes] = false;
	return true;
}

/* A list of each clock, as in QEMU. */
static struct qemu_timer_list *lists[] = { NULL, (void *)&timer_at, NULL, NULL };

static s64 deadline(struct qemu_timer_list *list)
{
	expect("the devices' list", (void *)list == &timer_at, true);
	if (timer_at < 0)
		return -1;
	return is_due() ? 0 : timer_at - clock_now_ns();
}

static struct qemu_cpu *get_cpu(int index)
{
	return (struct qemu_cpu *)&idle[index];
}

static bool is_idle(struct qemu_cpu *cpu)
{
	return *(bool *)cpu;
}

static bool all_idle(void)
{
	return idle[0] && idle[1];
}

/* QEMU would do so at the end of the block of translated code. */
static void run_outside(struct qemu_cpu *cpu, void (*work)(struct qemu_cpu *cpu, void *data),
			void *data)
{
	__atomic_add_fetch(&times_outside, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&big_lock);
	work(cpu, data);
	pthread_mutex_unlock(&big_lock);
}

static void call_once(void (**what)(void))
{
	void (*function)(void) = *what;

	*what = NULL;
	if (function)
		function();
}

static s64 host_clock(void)
{
	s64 ns;

	call_once(&before_host_clock);
	ns = __atomic_load_n(&host_ns, __ATOMIC_SEQ_CST);
	call_once(&after_host_clock);
	return ns;
}

/* A processor's thread, which executes what it is given. */
enum state { IDLE, RUNS, WAITS };

static struct worker {
	pthread_t thread;
	u64 ns;
	enum state state;
} workers[PROCESSORS];

static __thread struct worker *self;

static enum state state(unsigned int index)
{
	return __atomic_load_n(&workers[index].state, __ATOMIC_SEQ_CST);
}

static void set_state(struct worker *worker, enum state state)
{
	if (worker)
		__atomic_store_n(&worker->state, state, __ATOMIC_SEQ_CST);
}

/* The clock waits by this function of the C library's. */
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
			   const struct timespec *until)
{
	static int (*usual)(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
			    const struct timespec *until);
	int error;

	if (!usual)
		usual = (typeof(usual))dlsym(RTLD_NEXT, __func__);
	expect("waits by the clock that nobody sets", clock, CLOCK_MONOTONIC);
	set_state(self, WAITS);
	error = usual(condition, mutex, clock, until);
	set_state(self, RUNS);
	return error;
}

static void make_qemu(void)
{
	qemu.bql_lock_impl = lock_big;
	qemu.bql_unlock = unlock_big;
	qemu.qemu_clock_run_timers = run_timers;
	qemu.timerlist_deadline_ns = deadline;
	qemu.main_loop_tlg = lists;
	qemu.qemu_get_cpu = get_cpu;
	qemu.cpu_thread_is_idle = is_idle;
	qemu.all_cpu_threads_idle = all_idle;
	qemu.async_run_on_cpu = run_outside;
	qemu.cpu_get_clock = host_clock;
	clock_settings.quantum = QUANTUM_NS * PS_PER_NS;
	clock_settings.wake = WAKE_NS * PS_PER_NS;
	clock_settings.inside_ns = LONG_NS;
	clock_settings.outside_ns = LONG_NS;
}

static void execute(unsigned int index, u64 ns)
{
	executed[index] += ns * PS_PER_NS;
	clock_quantum_over(index, NULL);
}

static void *work(void *data)
{
	self = data;
	execute(self - workers, self->ns);
	set_state(self, IDLE);
	return NULL;
}

/* Executes in a thread of its own, and waits until that is done, or waits itself. */
static void execute_aside(unsigned int index, u64 ns)
{
	struct worker *worker = &workers[index];

	worker->ns = ns;
	set_state(worker, RUNS);
	pthread_create(&worker->thread, NULL, work, worker);
	while (state(index) == RUNS)
		usleep(1000);
}

static void expect_waits(const char *what, unsigned int index)
{
	usleep(MOMENT_US);
	expect(what, state(index), WAITS);
}

/* Waits until a processor's turn has come: for ever, if it does not. */
static void join(unsigned int index)
{
	pthread_join(workers[index].thread, NULL);
	expect("the state of one that has gone on", state(index), IDLE);
}

static void halt(unsigned int index)
{
	idle[index] = true;
	clock_processor_halts(0, index);
}

static void start(void)
{
	unsigned int i;

	make_qemu();
	for (i = 0; i < PROCESSORS; i++) {
		clock_add_processor(i);
		clock_processor_resumes(0, i);
	}
	clock_simulate(true);
}

/* --- where the clock is put --- */

#define CLASS_SLOTS	40
#define HEAD_SLOTS	12

static void **class, **head;
static unsigned int clock_slot, ticks_slot;

static void *class_by_name(const char *name)
{
	return strcmp(name, "object") ? class : head;
}

static s64 call_slot(unsigned int slot)
{
	s64 (*function)(void) = (s64 (*)(void))class[slot];

	return function ? function() : -1;
}

static s64 virtual_clock(void)
{
	return call_slot(clock_slot);
}

static s64 elapsed_ticks(void)
{
	return call_slot(ticks_slot);
}

static s64 own_clock(void)
{
	return 42;
}

static const char *replace(unsigned int virtual, unsigned int ticks)
{
	clock_slot = virtual;
	ticks_slot = ticks;
	class = calloc(CLASS_SLOTS, sizeof(*class));
	head = calloc(HEAD_SLOTS, sizeof(*head));
	qemu.object_class_by_name = class_by_name;
	qemu.cpus_get_virtual_clock = virtual_clock;
	qemu.cpus_get_elapsed_ticks = elapsed_ticks;
	return qemu_replace_clock(own_clock);
}

static void check_slots(void)
{
	static const unsigned int places[][2] = { { 24, 26 }, { 30, 20 }, { 39, 14 } };
	unsigned int i, at, used;

	make_qemu();
	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *problem = replace(places[i][0], places[i][1]);

		if (problem) {
			printf("%s\n", problem);
			failed = true;
		}
		expect("clock", virtual_clock(), 42);
		expect("ticks", elapsed_ticks(), 42);
		for (at = 0, used = 0; at < CLASS_SLOTS; at++)
			used += !!class[at];
		expect("slots that are changed", used, 2);
		free(class);
		free(head);
	}
}

static void expect_problem(const char *problem, const char *part)
{
	if (!problem || !strstr(problem, part)) {
		printf("not refused: %s\n", part);
		failed = true;
	}
	free(class);
	free(head);
	class = NULL;
	head = NULL;
}

static s64 unknown(void)
{
	return 0;
}

static void *no_class(const char *name)
{
	return NULL;
}

static void *counting_class(const char *name)
{
	class[24] = (void *)unknown;
	return class_by_name(name);
}

static void check_refused(void)
{
	expect_problem(qemu_find(), "does not export bql_lock_impl");
	make_qemu();
	replace(24, 26);
	qemu.cpus_get_elapsed_ticks = unknown;
	expect_problem(qemu_replace_clock(own_clock), "cannot be replaced");
	replace(24, 26);
	qemu.object_class_by_name = no_class;
	expect_problem(qemu_replace_clock(own_clock), "cannot be replaced");
	replace(24, 26);
	qemu.object_class_by_name = counting_class;
	expect_problem(qemu_replace_clock(own_clock), "-icount");
}

/* --- time --- */

static void check_minimum(void)
{
	start();
	expect("at first", clock_now_ns(), HOST_NS);
	execute(0, 400);
	expect("the other one is behind", clock_now_ns(), HOST_NS);
	execute_aside(0, 200);
	execute(1, 300);
	expect("the slower one", clock_now_ns(), HOST_NS + 300);
	execute(1, 400);
	expect("the other one is the slower one", clock_now_ns(), HOST_NS + 600);
	halt(1);
	join(0);
	halt(0);
	expect("all are halted", clock_now_ns(), HOST_NS + 600);
}

/* One runs until it is ahead by more than a quantum, then the other one. */
static void check_turns(void)
{
	start();
	execute(0, QUANTUM_NS);
	expect("one that is not ahead by more than a quantum", state(0), IDLE);
	execute_aside(0, 1);
	expect_waits("one that is", 0);
	execute(1, QUANTUM_NS + 1);
	execute(1, QUANTUM_NS);
	expect_waits("the other one is not ahead by more than a quantum", 0);
	execute_aside(1, 1);
	join(0);
	expect_waits("the other one is", 1);
	halt(0);
	join(1);
	expect("is outside", times_outside, 0);
	expect("time", clock_now_ns(), HOST_NS + 2 * QUANTUM_NS + 2);
}

/* What the file busy has, which is opened before. */
static void expect_busy(const char *wanted)
{
	char got[256] = "";
	size_t size;

	rewind(clock_settings.busy);
	size = fread(got, 1, sizeof(got) - 1, clock_settings.busy);
	if (size != strlen(wanted) || strcmp(got, wanted)) {
		printf("got:\n%sexpected:\n%s", got, wanted);
		failed = true;
	}
}

static void check_outside(void)
{
	clock_settings.busy = tmpfile();
	start();
	clock_settings.inside_ns = SHORT_NS;
	execute_aside(0, QUANTUM_NS + 200);
	while (!__atomic_load_n(&times_outside, __ATOMIC_SEQ_CST) && state(0) != IDLE)
		usleep(1000);
	expect_waits("one that is ahead", 0);
	halt(1);
	join(0);
	expect("is outside", times_outside, 1);
	clock_simulate(false);
	expect_busy("1000 0 0 0\nend 1700 0 0\n");
}

/* The other one does not come. */
static void check_forced(void)
{
	clock_settings.busy = tmpfile();
	start();
	clock_settings.inside_ns = SHORT_NS;
	clock_settings.outside_ns = SHORT_NS;
	execute_aside(0, QUANTUM_NS + 200);
	join(0);
	expect("time", clock_now_ns(), HOST_NS);
	halt(1);
	execute(0, 1000 * 1000);
	clock_simulate(false);
	expect_busy("1000 0 0 0\n1001700 1 1000700 0\nend 1001700 1 0\n");
}

static void check_timers(void)
{
	start();
	timer_at = HOST_NS + 100;
	execute(0, 300);
	expect("the other one is behind", timer_runs, 0);
	execute_aside(0, QUANTUM_NS);
	execute(1, 99);
	expect("too early", timer_runs, 0);
	execute(1, 1);
	expect("is due", timer_runs, 1);
	timer_at = HOST_NS + 500;
	timer_sees_wait = 0;
	halt(1);
	expect("is due when the slower one halts", timer_runs, 2);
	join(0);
}

/*
 * An interrupt ends a halt. It does not matter whether the host wakes the thread before or after
 * the other processor ends its quantum, and it does nothing before its turn comes.
 */
static void check_woken(bool early)
{
	start();
	halt(1);
	execute(0, 400);
	idle[1] = false;
	if (early) {
		clock_processor_resumes(0, 1);
		execute_aside(1, 30);
	}
	execute(0, 300);
	if (!early) {
		clock_processor_resumes(0, 1);
		execute_aside(1, 30);
	}
	expect("the one that wakes", clock_now_ns(), HOST_NS + 700);
	expect_waits("the one that is woken", 1);
	halt(0);
	join(1);
	expect("the one that is woken", clock_now_ns(), HOST_NS + 400 + WAKE_NS);
	execute(1, 50);
	expect("what it executes", clock_now_ns(), HOST_NS + 400 + WAKE_NS + 80);
}

static void check_late(void)
{
	check_woken(false);
}

static void check_early(void)
{
	check_woken(true);
	expect("what it has executed since", executed[1], 0);
	clock_processor_resumes(0, 1);
	expect("so that it waits before its first block", executed[1], QUANTUM_NS * PS_PER_NS);
}

static void check_jumps(void)
{
	start();
	timer_at = HOST_NS + 5000;
	halt(0);
	expect("are all halted?", clock_wait_until_halted(1000), false);
	clock_jump();
	expect("one is running", clock_now_ns(), HOST_NS);
	halt(1);
	expect("are all halted?", clock_wait_until_halted(1000), true);
	clock_jump();
	expect("the timer", clock_now_ns(), HOST_NS + 5000);
	expect("the timer's run", timer_runs, 1);
	timer_at = HOST_NS + 4000;
	clock_jump();
	expect("a timer that is late", timer_runs, 2);
	expect("the time", clock_now_ns(), HOST_NS + 5000);
	clock_jump();
	expect("no timer", clock_now_ns(), HOST_NS + 5000);
}

#define STEPS		2000
#define HALT_STEPS	32	/* between two halts of processor 1 */
#define DELAY_STEPS	64	/* of either, between two delays of the host's */
#define DELAY_US	300

static pthread_cond_t interrupted = PTHREAD_COND_INITIALIZER;
static bool asleep, finished, delayed;
static u64 order;	/* a hash of who executed something at which time, one after the other */

static void step(unsigned int index, u64 ns)
{
	executed[index] += ns * PS_PER_NS;
	if (executed[index] >= clock_settings.quantum)
		clock_quantum_over(index, NULL);
	order = (order * 31 + index) * 31 + clock_now_ns();
}

static void sleep_until_interrupt(void)
{
	pthread_mutex_lock(&big_lock);
	asleep = true;
	halt(1);
	while (idle[1])
		pthread_cond_wait(&interrupted, &big_lock);
	if (delayed)
		usleep(DELAY_US);
	clock_processor_resumes(0, 1);
	pthread_mutex_unlock(&big_lock);
}

static void interrupt(void)
{
	asleep = false;
	pthread_mutex_lock(&big_lock);
	idle[1] = false;
	pthread_cond_signal(&interrupted);
	pthread_mutex_unlock(&big_lock);
}

static void *sleeper(void *unused)
{
	u32 random = 1, i;

	for (i = 1; i <= STEPS; i++) {
		random = random * 1103515245 + 12345;
		step(1, 10 + random / 65536 % 50);
		if (delayed && i % DELAY_STEPS == 0)
			usleep(DELAY_US);
		if (i % HALT_STEPS == 0)
			sleep_until_interrupt();
	}
	finished = true;
	halt(1);
	return NULL;
}

static void *waker(void *unused)
{
	u32 i;

	for (i = 1; !finished; i++) {
		step(0, 10 + i % 29);
		if (delayed && i % DELAY_STEPS == 0)
			usleep(DELAY_US);
		if (asleep)
			interrupt();
	}
	halt(0);
	return NULL;
}

/* Two processors that wake each other execute all in the same order, however slow the host is. */
static void check_repeats(void)
{
	u64 orders[2];
	s64 times[2];
	int i;

	make_qemu();
	for (i = 0; i < 2; i++) {
		pthread_t threads[PROCESSORS];

		host_ns = HOST_NS - clock_now_ns() + host_ns;
		memset(idle, 0, sizeof(idle));
		finished = false;
		asleep = false;
		order = 0;
		delayed = i;
		start();
		clock_processor_resumes(0, 0);
		clock_processor_resumes(0, 1);
		pthread_create(&threads[1], NULL, sleeper, NULL);
		pthread_create(&threads[0], NULL, waker, NULL);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		orders[i] = order;
		times[i] = clock_now_ns();
		clock_simulate(false);
	}
	expect("the time of the second run", times[1], times[0]);
	expect("the order of the second run", orders[1], orders[0]);
	expect("they slept, so that it took longer than the steps", times[0] >
	       HOST_NS + STEPS / HALT_STEPS * WAKE_NS, true);
}

static void wait_for_condition(void *condition, void *mutex, const char *file, int line)
{
	halts_awaited++;
}

/* By this name it is found. */
void (*qemu_cond_wait_func)(void *condition, void *mutex, const char *file, int line) =
	wait_for_condition;

static void check_halts(void)
{
	start();
	replace(24, 26);
	halt(1);
	timer_at = HOST_NS + 5000;
	timer_wakes = 0;
	halt(0);
	expect("the timer", clock_now_ns(), HOST_NS + 5000);
	qemu_cond_wait_func(NULL, NULL, __FILE__, __LINE__);
	expect("waits of the one that is woken", halts_awaited, 0);
	clock_processor_resumes(0, 0);
	expect("is woken", clock_now_ns(), HOST_NS + 5000 + WAKE_NS);
	execute(0, 60);
	execute(0, 40);
	expect("the one that is woken", clock_now_ns(), HOST_NS + 5000 + WAKE_NS + 100);
	timer_at = clock_now_ns() + 5000;
	timer_wakes = 1;
	halt(0);
	qemu_cond_wait_func(NULL, NULL, __FILE__, __LINE__);
	expect("waits of one that is not", halts_awaited, 1);
	free(class);
	free(head);
}

/* A timer that is due as a processor halts may wake that processor, while another one runs. */
static void check_halts_woken(void)
{
	start();
	replace(24, 26);
	execute_aside(0, QUANTUM_NS + 100);
	timer_at = HOST_NS + 50;
	timer_wakes = 1;
	halt(1);
	expect("the timer's run", timer_runs, 1);
	qemu_cond_wait_func(NULL, NULL, __FILE__, __LINE__);
	expect("waits of the one that is woken", halts_awaited, 0);
	join(0);
	free(class);
	free(head);
}

static void check_ends(void)
{
	start();
	halt(1);
	execute(0, 400);
	host_ns += 100;
	expect("the host's time does not count", clock_now_ns(), HOST_NS + 400);
	clock_simulate(false);
	expect("the end", clock_now_ns(), HOST_NS + 400);
	host_ns += 50;
	expect("after it", clock_now_ns(), HOST_NS + 450);
	execute(0, 1000000);
	expect("instructions do not count", clock_now_ns(), HOST_NS + 450);
	clock_simulate(true);
	expect("again", clock_now_ns(), HOST_NS + 450);
	execute(0, 100);
	expect("instructions do", clock_now_ns(), HOST_NS + 550);
	clock_set_main_loop();
	expect("the main loop's", clock_now_ns(), HOST_NS + 550 - 1000000000);
	clock_simulate(false);
	expect("the main loop's, after it", clock_now_ns(), HOST_NS + 550);
}

static s64 seen_ns;
static bool seen;

static void *read_clock(void *unused)
{
	seen_ns = clock_now_ns();
	__atomic_store_n(&seen, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* The host's time goes on, and another thread reads the clock; it may have to wait. */
static void read_meanwhile(void)
{
	unsigned int tries;
	pthread_t thread;

	__atomic_add_fetch(&host_ns, 100, __ATOMIC_SEQ_CST);
	pthread_create(&thread, NULL, read_clock, NULL);
	pthread_detach(thread);
	for (tries = 0; tries < 50 && !__atomic_load_n(&seen, __ATOMIC_SEQ_CST); tries++)
		usleep(1000);
}

static void simulate_meanwhile(void)
{
	clock_simulate(true);
	host_ns += 100;
}

static void expect_monotone(void)
{
	while (!__atomic_load_n(&seen, __ATOMIC_SEQ_CST))
		usleep(1000);
	if (seen_ns <= clock_now_ns())
		return;
	printf("%lld was seen, and then it is %lld\n", seen_ns, clock_now_ns());
	failed = true;
}

/* A thread that reads the clock while simulation begins or ends sees no time that is not yet. */
static void check_monotone(void)
{
	int on;

	start();
	for (on = 0; on < 2; on++) {
		seen = false;
		after_host_clock = read_meanwhile;
		clock_simulate(on);
		expect_monotone();
	}
	clock_simulate(false);
	before_host_clock = simulate_meanwhile;
	read_clock(NULL);
	expect_monotone();
}

static void check_busy(void)
{
	int i;

	clock_settings.busy = tmpfile();
	make_qemu();
	for (i = 0; i < 2; i++) {	/* the second time, what the first one left is gone */
		host_ns = HOST_NS - clock_now_ns() + host_ns;
		start();
		halt(1);
		while (clock_now_ns() < 2 * 1000 * 1000 + 500)
			execute(0, 250);
		host_ns += 7;
		clock_simulate(false);
	}
	expect_busy("1000 0 0 0\n1000000 0 999000 0\n2000000 0 1999000 0\nend 2000500 0 7\n");
}

/* --- */

static unsigned char digit(char letter)
{
	return letter <= '9' ? letter - '0' : letter - 'a' + 10;
}

static void print_kinds(struct instruction (*read)(const unsigned char *code, size_t size))
{
	static const char *const names[] = { "plain", "vector", "atomic", "string" };
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		size_t size = strspn(line, "0123456789abcdef") / 2, i;
		/* As long as the code, so that reading beyond it is seen. */
		unsigned char *code = malloc(size);
		struct instruction found;

		if (!code)
			abort();
		for (i = 0; i < size; i++)
			code[i] = 16 * digit(line[2 * i]) + digit(line[2 * i + 1]);
		found = read(code, size);
		printf("%s %u\n", names[found.kind], found.width);
		free(code);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*check)(void);
	} checks[] = {
		{ "slots", check_slots }, { "refused", check_refused },
		{ "minimum", check_minimum }, { "turns", check_turns },
		{ "outside", check_outside }, { "forced", check_forced },
		{ "timers", check_timers }, { "late", check_late }, { "early", check_early },
		{ "repeats", check_repeats }, { "jumps", check_jumps },
		{ "halts", check_halts }, { "woken", check_halts_woken },
		{ "ends", check_ends },
		{ "monotone", check_monotone },
		{ "busy", check_busy },
	};
	size_t i;

	if (argc != 2)
		return 2;
	alarm(LIMIT_S);
	if (!strcmp(argv[1], "x86"))
		print_kinds(x86_instruction);
	else if (!strcmp(argv[1], "arm64"))
		print_kinds(arm64_instruction);
	for (i = 0; i < sizeof(checks) / sizeof(*checks); i++)
		if (!strcmp(argv[1], checks[i].name))
			checks[i].check();
	fflush(stdout);
	_exit(failed);	/* a thread that waits for ever is not waited for */
}
