/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the library asks the kernel by itself.
 */
#ifndef CA_PRELOAD_ASK_H
#define CA_PRELOAD_ASK_H

#include <stddef.h>

#include <linux/types.h>

struct dm_ioctl;

enum home {
	NO_TABLE,		/* the mapping is new */
	ON_CRYPT_ASYNC,
	SHOWN_AS_CRYPT,		/* on this module, which its status tells */
	ELSEWHERE,		/* on other targets, or there is none */
};

int kernel(int fd, unsigned long request, void *arg);
int kernel_time64(int fd, unsigned long request, void *arg);
int get_key(int fd, const struct dm_ioctl *asked, __u64 sector, char *key, size_t length);
int find_home(int fd, const struct dm_ioctl *asked, enum home *home);

#endif
