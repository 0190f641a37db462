// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU by which an emulated machine takes the same time on each run, whatever else the
 * host does: its time is made of the instructions that its processors execute.
 * docs/explanation/measuring.md says what that is good for. Parameters, as name=value:
 *
 *   plain_ps, vector_ps, atomic_ps	what an instruction costs, by its kind (kind.h)
 *   copy_ps				what it costs to write a byte by a string instruction
 *   wake_ns				from an interrupt to a halted processor's first instruction
 *   quantum_ns				how far processors may be apart
 *   control				a file: while it begins with 1, time is simulated
 *   busy				a file, for how long each processor has executed
 *
 * The file busy has a line for each simulated millisecond since simulation began last: the guest's
 * time; how many steps were forced until then, that is, how often a processor went on although
 * another one was behind, which had not moved for a second of the host; then the busy time of each
 * processor. At the end there is a line "end", with the guest's time, the forced steps, and the
 * host's time since simulation began. Times are in nanoseconds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "kind.h"

#define EXPORT		__attribute__((visibility("default")))
#define LOOK_NS		3000000l	/* of the host, between two looks at the control file */
#define LOOK_JUMPS	256
#define MAX_CODE	16	/* bytes of an instruction */

EXPORT int qemu_plugin_version = 4;

/* Immutable once the guest runs. By default: 3 GHz, one plain instruction each cycle. */
static u64 plain_ps = 333;
static u64 vector_ps = 83;
static u64 atomic_ps = 6667;
static u64 copy_ps = 62;
static u64 wake_ns = 2000;
static u64 quantum_ns = 500;
static char *control;
static char *busy;
static struct instruction (*read_instruction)(const unsigned char *code, size_t size);

static void complain(const char *problem, const char *what)
{
	fprintf(stderr, "simclock: %s%s\n", problem, what);
}

/* --- translation --- */

/*
 * What an instruction costs, in picoseconds. One that copies memory counts as it does so, since
 * QEMU executes all of its steps as one instruction.
 */
static u64 cost(struct qemu_plugin_insn *insn)
{
	unsigned char code[MAX_CODE];
	struct instruction found;

	found = read_instruction(code, qemu_plugin_insn_data(insn, code, sizeof(code)));
	switch (found.kind) {
	case KIND_VECTOR:
		return vector_ps;
	case KIND_ATOMIC:
		return atomic_ps;
	case KIND_STRING:
		qemu_plugin_register_vcpu_mem_inline_per_vcpu(insn, SIMCLOCK_WRITES, SIMCLOCK_ADD,
							      clock_counter, copy_ps * found.width);
		return plain_ps;
	default:
		return plain_ps;
	}
}

static void translate(u64 id, struct qemu_plugin_tb *block)
{
	size_t count = qemu_plugin_tb_n_insns(block), i;
	u64 ps = 0;

	for (i = 0; i < count; i++)
		ps += cost(qemu_plugin_tb_get_insn(block, i));
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, SIMCLOCK_ADD, clock_counter, ps);
	qemu_plugin_register_vcpu_tb_exec_cond_cb(block, clock_quantum_over, SIMCLOCK_NO_REGISTERS,
						  SIMCLOCK_GREATER_EQUAL, clock_counter,
						  clock_settings.quantum, NULL);
}

/* --- the timekeeper: a thread of the plugin --- */

static void look_at_control(void)
{
	char first;
	int file;

	file = open(control, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	if (read(file, &first, 1) == 1)
		clock_simulate(first == '1');
	close(file);
}

static void *keep_time(void *unused)
{
	unsigned int jumps = 0;

	qemu.rcu_register_thread();
	for (;;) {
		bool halted = clock_wait_until_halted(LOOK_NS);

		if (!halted || ++jumps % LOOK_JUMPS == 0)
			look_at_control();
		if (halted) {
			clock_jump();
			sched_yield();
		}
	}
	return NULL;
}

/*
 * Called with QEMU's big lock. The first processor comes when QEMU has chosen its accelerator, and
 * before the guest executes anything.
 */
static void add_processor(u64 id, unsigned int index)
{
	static bool replaced;
	const char *problem = NULL;
	pthread_t thread;

	if (index >= MAX_VCPUS)
		problem = "too many processors";
	else if (!replaced)
		problem = qemu_replace_clock(clock_now_ns);
	if (problem) {
		complain(problem, "");
		_exit(1);	/* exit() would want what this thread has locked */
	}
	clock_add_processor(index);
	if (!replaced && pthread_create(&thread, NULL, keep_time, NULL)) {
		complain("there is no thread to keep time", "");
		_exit(1);
	}
	replaced = true;
}

/* --- parameters --- */

static bool set_number(const char *name, const char *value)
{
	static const struct {
		const char *name;
		u64 *number;
	} numbers[] = {
		{ "plain_ps", &plain_ps },
		{ "vector_ps", &vector_ps },
		{ "atomic_ps", &atomic_ps },
		{ "copy_ps", &copy_ps },
		{ "wake_ns", &wake_ns },
		{ "quantum_ns", &quantum_ns },
	};
	size_t i;
	char *end;

	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(numbers[i].name, name))
			continue;
		*numbers[i].number = strtoull(value, &end, 10);
		return *value && !*end;
	}
	return false;
}

static bool set_parameter(char *argument)
{
	char *value = strchr(argument, '=');

	if (!value)
		return false;
	*value++ = 0;
	if (!strcmp(argument, "control"))
		return (control = strdup(value));
	if (!strcmp(argument, "busy"))
		return (busy = strdup(value));
	return set_number(argument, value);
}

static const char *prepare(const struct simclock_target *target)
{
	const char *problem = qemu_find();

	if (problem)
		return problem;
	if (!control)
		return "there is no parameter control";
	if (!strcmp(target->name, "x86_64"))
		read_instruction = x86_instruction;
	else if (!strcmp(target->name, "aarch64"))
		read_instruction = arm64_instruction;
	else
		return "the kinds of this machine's instructions are not known";
	if (busy) {
		clock_settings.busy = fopen(busy, "w");
		if (!clock_settings.busy)
			return "the file busy cannot be written";
	}
	clock_settings.quantum = quantum_ns * PS_PER_NS;
	clock_settings.wake = wake_ns * PS_PER_NS;
	clock_counter.score = qemu_plugin_scoreboard_new(sizeof(u64));
	return NULL;
}

EXPORT int qemu_plugin_install(u64 id, const struct simclock_target *target, int argc,
			       char **argv)
{
	const char *problem;
	int i;

	for (i = 0; i < argc; i++) {
		if (!set_parameter(argv[i])) {
			complain("no such parameter, or not with this value: ", argv[i]);
			return -1;
		}
	}
	problem = prepare(target);
	if (problem) {
		complain(problem, "");
		return -1;
	}
	clock_set_main_loop();
	qemu_plugin_register_vcpu_init_cb(id, add_processor);
	qemu_plugin_register_vcpu_idle_cb(id, clock_processor_halts);
	qemu_plugin_register_vcpu_resume_cb(id, clock_processor_resumes);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
