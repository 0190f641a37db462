// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library whose ioctl() comes after that of scripts/command/preload, for preload.c.
 */
#include <stdarg.h>

int (*made_up_ioctl)(int fd, unsigned long request, void *arg);

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *arg;

	va_start(rest, request);
	arg = va_arg(rest, void *);
	va_end(rest);
	return made_up_ioctl(fd, request, arg);
}
