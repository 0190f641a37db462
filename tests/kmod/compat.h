/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between Linux 6.1 and 7.3 for the modules here; included before everything else. */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/version.h>
#include <crypto/internal/skcipher.h>

/* hex2bin() */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#endif

/* The properties of the algorithm within: a type of their own since 6.7. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define chaos_inner_alg struct skcipher_alg_common
#define chaos_inner(spawn) crypto_spawn_skcipher_alg_common(spawn)
#else
#define chaos_inner_alg struct skcipher_alg
#define chaos_inner(spawn) crypto_spawn_skcipher_alg(spawn)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

#endif /* KMOD_COMPAT_H */
