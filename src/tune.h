/* SPDX-License-Identifier: GPL-2.0-only */
/* The settings that a message changes while a device is used. */
#ifndef CA_TUNE_H
#define CA_TUNE_H

struct ca_device;

unsigned int ca_tune_emit(const struct ca_device *ca, char *result, unsigned int maxlen);
int ca_tune_message(struct ca_device *ca, unsigned int argc, char **argv);

#endif /* CA_TUNE_H */
