/* SPDX-License-Identifier: GPL-2.0-only */
/* Making and freeing a device. */
#ifndef CA_DEVICE_H
#define CA_DEVICE_H

struct ca_device;
struct dm_target;

int ca_device_init(struct dm_target *ti, unsigned int argc, char **argv);
void ca_device_exit(struct ca_device *ca);

#endif /* CA_DEVICE_H */
