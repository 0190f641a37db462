/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels, 6.1 to 7.3. Included before everything else by
 * Kbuild; the only file that tests for a version. The code proper reads as if it were written for
 * the newest kernel.
 */
#ifndef CA_COMPAT_H
#define CA_COMPAT_H

#include <linux/version.h>
#include <linux/bio.h>
#include <linux/crypto.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-crypt-async needs Linux 6.1 or newer"
#endif

/* hex2bin() */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#else
#include <linux/kernel.h>
#endif

/*
 * The callback of a crypto request gets the request's data since 6.3, the request itself before.
 * CA_COMPLETION(fn) after the definition of fn(void *data, int err) makes ca_completion(fn) fit for
 * skcipher_request_set_callback() on either.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define CA_COMPLETION(fn)						\
	static void fn##_compat(struct crypto_async_request *base, int err) \
	{								\
		fn(base->data, err);					\
	}
#define ca_completion(fn) fn##_compat
#else
#define CA_COMPLETION(fn)
#define ca_completion(fn) fn
#endif

/* The write life time hint is a member of the bio since 6.9, and the stream since 6.16. */
static inline void ca_bio_copy_hints(struct bio *dst, const struct bio *src)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	dst->bi_write_hint = src->bi_write_hint;
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	dst->bi_write_stream = src->bi_write_stream;
#endif
}

#endif /* CA_COMPAT_H */
