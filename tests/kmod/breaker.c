// SPDX-License-Identifier: GPL-2.0-only
/*
 * Breaks the state of dm_crypt_async by hand, to see that the module finds it. A word written to
 * /sys/module/breaker/parameters/state:
 *
 *	fragment	the state of the next fragment that is converted becomes another one
 *	base		the state of the next base that ends becomes one that does not exist
 *	twice		a fragment that has ended, of a device that was used before, ends once more
 *	references	a base without references, of such a device, loses one more
 *
 * The last two are made-up objects: a real one could not be used afterwards.
 */
#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../../src/base.h"
#include "../../src/fragment.h"

enum { NOTHING, FRAGMENT, BASE };

static atomic_t next = ATOMIC_INIT(NOTHING);
static struct ca_device *device;	/* of the last fragment that was converted */

/* Return: the first argument of the function at whose beginning a probe is. */
static void *argument(struct pt_regs *regs)
{
#ifdef CONFIG_S390
	/* regs_get_kernel_argument() calls what is not exported there. */
	return (void *)regs->gprs[2];
#elif defined(CONFIG_PPC)
	return (void *)regs->gpr[3];
#elif defined(CONFIG_ARM)
	return (void *)regs->ARM_r0;
#else
	return (void *)regs_get_kernel_argument(regs, 0);
#endif
}

static int on_submit(struct kprobe *probe, struct pt_regs *regs)
{
	struct dm_crypt_io *io = argument(regs);

	WRITE_ONCE(device, io->ca);
	if (atomic_cmpxchg(&next, FRAGMENT, NOTHING) == FRAGMENT)
		io->state = CA_FRAGMENT_NEW;
	return 0;
}

static int on_end(struct kprobe *probe, struct pt_regs *regs)
{
	struct ca_base *base = argument(regs);

	if (atomic_cmpxchg(&next, BASE, NOTHING) == BASE)
		base->state = CA_BASE_STATES + 1;
	return 0;
}

static struct kprobe submit = { .symbol_name = "ca_request_submit", .pre_handler = on_submit };
static struct kprobe end = { .symbol_name = "ca_base_end", .pre_handler = on_end };

/* Return: the address of a function of the module, which exports none; NULL if there is none. */
static void *find(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	void *found;

	if (register_kprobe(&probe))
		return NULL;
	found = probe.addr;
	unregister_kprobe(&probe);
	return found;
}

static int end_made_up(bool is_twice)
{
	struct ca_base *(*end_fragment)(struct dm_crypt_io *io, blk_status_t status);
	const int refs = is_twice ? 2 : 0;
	struct ca_base *base;
	int err = 0;

	end_fragment = find("ca_fragment_end");
	if (!device || !end_fragment)
		return -ENOENT;
	base = kzalloc(sizeof(*base), GFP_KERNEL);
	if (!base)
		return -ENOMEM;
	base->ca = device;
	atomic_set(&base->refs, refs);
	ca_fragment_init(&base->first, device, base, true);
	base->first.state = is_twice ? CA_FRAGMENT_ENDED : CA_FRAGMENT_WRITING;
	/* The base is not the caller's to end, and what ends twice drops no reference. */
	if (end_fragment(&base->first, BLK_STS_OK) ||
	    (is_twice && atomic_read(&base->refs) != refs))
		err = -EIO;
	kfree(base);
	return err;
}

static int set_break(const char *value, const struct kernel_param *param)
{
	if (sysfs_streq(value, "fragment"))
		atomic_set(&next, FRAGMENT);
	else if (sysfs_streq(value, "base"))
		atomic_set(&next, BASE);
	else if (sysfs_streq(value, "twice") || sysfs_streq(value, "references"))
		return end_made_up(sysfs_streq(value, "twice"));
	else
		return -EINVAL;
	return 0;
}

static const struct kernel_param_ops break_ops = { .set = set_break };
module_param_cb(state, &break_ops, NULL, 0200);
MODULE_PARM_DESC(state, "The state to break: fragment, base, twice or references");

static int __init breaker_init(void)
{
	int err = register_kprobe(&submit);

	if (err)
		return err;
	err = register_kprobe(&end);
	if (err)
		unregister_kprobe(&submit);
	return err;
}
module_init(breaker_init);

static void __exit breaker_exit(void)
{
	unregister_kprobe(&end);
	unregister_kprobe(&submit);
}
module_exit(breaker_exit);

MODULE_DESCRIPTION("breaks the state of dm_crypt_async, for its tests");
MODULE_AUTHOR("The dm-crypt-async maintainers");
MODULE_LICENSE("GPL");
