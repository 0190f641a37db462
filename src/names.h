/* SPDX-License-Identifier: GPL-2.0-only */
/* The names that the target goes by: crypt-async, and dm-crypt's. */
#ifndef CA_NAMES_H
#define CA_NAMES_H

struct ca_device;
struct dm_target;
struct target_type;

int ca_names_init(struct target_type *type);
void ca_names_exit(void);
int ca_names_enter(struct ca_device *ca);
void ca_names_leave(struct ca_device *ca);
const char *ca_names_shown(const struct dm_target *ti);

#endif /* CA_NAMES_H */
