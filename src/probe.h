/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes: when a bio that comes alone is treated as if another one followed. A function of its
 * arguments only, so that a test can run it as a program.
 */
#ifndef CA_PROBE_H
#define CA_PROBE_H

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, value)	((x) = (value))
#endif

/*
 * A device that completes within submit_bio() never lets two bios be in flight, however many the
 * submitter has ready. So now and then a bio that comes alone is given away, to see whether another
 * one comes before it has ended: a probe. It costs a submitter who does wait a wake-up.
 *
 * The first one comes after CA_PROBE_MIN lone bios; then the gap doubles, up to CA_PROBE_MAX. A
 * tenth of a second after a probe there is another one at the latest, if CA_PROBE_MIN lone bios
 * have come. With other work the gap is the first one again, but once in a fiftieth of a second
 * only: a program that mixes reads and writes is other work with each bio.
 */
#define CA_PROBE_MIN		16U
#define CA_PROBE_MAX		512U

/* As parts of a second. */
#define CA_PROBE_LATEST		10
#define CA_PROBE_CHANGE		50

/* After a bio that came while another one was in flight, so many lone ones are treated like it. */
#define CA_PROBE_DEEP		16U

/**
 * struct ca_probe - what is known of the bios of one CPU
 * @deep: further lone bios that are treated as if another one was in flight
 * @singles: lone bios since the last probe
 * @gap: lone bios from one probe to the next
 * @last: when the last probe was, in jiffies
 * @work: the kind of work that the last bio was: a number that others have only by chance
 * @changed: when the gap was last made small for other work, in jiffies
 *
 * Tasks that run on the CPU use it without a lock: a number that is lost when a task changes its
 * CPU meanwhile does no harm.
 */
struct ca_probe {
	unsigned int deep;
	unsigned int singles;
	unsigned int gap;
	unsigned long last;
	unsigned long work;
	unsigned long changed;
};

/* A bio came while another one was in flight. */
static inline void ca_probe_saw_depth(struct ca_probe *probe)
{
	WRITE_ONCE(probe->deep, CA_PROBE_DEEP);
	WRITE_ONCE(probe->gap, CA_PROBE_MIN);
}

static inline void ca_probe_see_work(struct ca_probe *probe, unsigned long work, unsigned long now,
				     unsigned int hz)
{
	if (READ_ONCE(probe->work) == work)
		return;
	WRITE_ONCE(probe->work, work);
	if (now - READ_ONCE(probe->changed) < hz / CA_PROBE_CHANGE)
		return;
	WRITE_ONCE(probe->changed, now);
	WRITE_ONCE(probe->gap, CA_PROBE_MIN);
}

/**
 * ca_probe_is_lone() - whether the submitter of a bio that comes alone is taken to wait for it
 * @probe: of the CPU that it comes from
 * @work: its kind
 * @now: in jiffies
 * @hz: jiffies in a second
 *
 * Return: whether; if not, the bio is a probe, or comes after others that were in flight together.
 */
static inline bool ca_probe_is_lone(struct ca_probe *probe, unsigned long work, unsigned long now,
				    unsigned int hz)
{
	unsigned int deep = READ_ONCE(probe->deep);
	unsigned int singles;
	unsigned int gap;

	if (deep) {
		WRITE_ONCE(probe->deep, deep - 1);
		return false;
	}
	ca_probe_see_work(probe, work, now, hz);
	gap = READ_ONCE(probe->gap);
	singles = READ_ONCE(probe->singles) + 1;
	if (singles < CA_PROBE_MIN ||
	    (singles < gap && now - READ_ONCE(probe->last) < hz / CA_PROBE_LATEST)) {
		WRITE_ONCE(probe->singles, singles);
		return true;
	}
	WRITE_ONCE(probe->singles, 0);
	WRITE_ONCE(probe->last, now);
	WRITE_ONCE(probe->gap, 2 * gap < CA_PROBE_MAX ? 2 * gap : CA_PROBE_MAX);
	return false;
}

#endif /* CA_PROBE_H */
