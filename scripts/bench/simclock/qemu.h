/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU as this plugin sees it: the part of the plugin interface that it uses (no package installs
 * its header), and functions of QEMU itself, which are looked up by their names.
 */
#ifndef SIMCLOCK_QEMU_H
#define SIMCLOCK_QEMU_H

#include <stdbool.h>
#include <stddef.h>

#include "types.h"

/* The plugin interface, in version 4. */

struct qemu_plugin_scoreboard;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

struct simclock_target {		/* qemu_info_t */
	const char *name;
	struct {
		int min;
		int current;
	} version;
	bool system_emulation;
};

struct simclock_counter {		/* qemu_plugin_u64, passed by value */
	struct qemu_plugin_scoreboard *score;
	size_t offset;
};

enum {
	SIMCLOCK_ADD = 0,		/* QEMU_PLUGIN_INLINE_ADD_U64 */
	SIMCLOCK_NO_REGISTERS = 0,	/* QEMU_PLUGIN_CB_NO_REGS */
	SIMCLOCK_GREATER_EQUAL = 7,	/* QEMU_PLUGIN_COND_GE */
	SIMCLOCK_WRITES = 2,		/* QEMU_PLUGIN_MEM_W */
};

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu);
void qemu_plugin_register_vcpu_init_cb(u64 id, void (*cb)(u64 id, unsigned int vcpu));
void qemu_plugin_register_vcpu_idle_cb(u64 id, void (*cb)(u64 id, unsigned int vcpu));
void qemu_plugin_register_vcpu_resume_cb(u64 id, void (*cb)(u64 id, unsigned int vcpu));
void qemu_plugin_register_vcpu_tb_trans_cb(u64 id,
					   void (*cb)(u64 id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, int op,
						       struct simclock_counter entry,
						       u64 value);
void qemu_plugin_register_vcpu_tb_exec_cond_cb(struct qemu_plugin_tb *tb,
					       void (*cb)(unsigned int vcpu, void *data),
					       int flags, int condition,
					       struct simclock_counter entry, u64 value,
					       void *data);
void qemu_plugin_register_vcpu_mem_inline_per_vcpu(struct qemu_plugin_insn *insn, int rw, int op,
						   struct simclock_counter entry, u64 value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *code, size_t size);

/* QEMU itself. */

struct qemu_cpu;

struct qemu_timer_list;

#define SIMCLOCK_VIRTUAL	1	/* QEMU_CLOCK_VIRTUAL */

/* qemu: functions of QEMU, and the timers of its devices by their clock, found by their names */
struct qemu {
	void (*bql_lock_impl)(const char *file, int line);
	void (*bql_unlock)(void);
	bool (*qemu_clock_run_timers)(int clock);
	s64 (*timerlist_deadline_ns)(struct qemu_timer_list *list);
	struct qemu_cpu *(*qemu_get_cpu)(int index);
	bool (*cpu_thread_is_idle)(struct qemu_cpu *cpu);
	bool (*all_cpu_threads_idle)(void);
	void (*async_run_on_cpu)(struct qemu_cpu *cpu,
				 void (*work)(struct qemu_cpu *cpu, void *data), void *data);
	void *(*object_class_by_name)(const char *name);
	s64 (*cpu_get_clock)(void);
	s64 (*cpus_get_virtual_clock)(void);
	s64 (*cpus_get_elapsed_ticks)(void);
	void (*rcu_register_thread)(void);
	struct qemu_timer_list **main_loop_tlg;
};

extern struct qemu qemu;

const char *qemu_find(void);
const char *qemu_replace_clock(s64 (*clock)(void));
s64 qemu_timer_deadline_ns(void);
bool qemu_can_skip_waits(void);
void qemu_skip_next_wait(void);

#endif
