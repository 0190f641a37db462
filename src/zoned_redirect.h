/* SPDX-License-Identifier: GPL-2.0-only */
/* Zoned devices before Linux 6.10: writes begin when map has returned. */
#ifndef CA_ZONED_REDIRECT_H
#define CA_ZONED_REDIRECT_H

struct bio;
struct ca_device;

int ca_zoned_redirect_init(struct ca_device *ca);
void ca_zoned_redirect_exit(struct ca_device *ca);

#endif /* CA_ZONED_REDIRECT_H */
