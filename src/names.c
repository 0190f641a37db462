// SPDX-License-Identifier: GPL-2.0-only
/*
 * The names that the target goes by: its own, dm-crypt's, or both. The parameter replace_dm_crypt
 * says which, and may change while the module is loaded. A name that a table uses is not given up:
 * who asks for the table would find a name that nobody has.
 *
 * Beside a loaded dm-crypt, which has the name crypt, tables can be shown as crypt all the same:
 * whoever asks what a table is gets the name in dm_target.type, and the target may point that to
 * another structure of this module. So programs that know crypt only (cryptsetup, systemd, GRUB)
 * go on while mappings move from dm-crypt to here and back. A table that such a program loads is
 * dm-crypt's then.
 */
#include "names.h"

#include <linux/device-mapper.h>
#include <linux/dm-ioctl.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "../dm-crypt-async.h"

#define DM_MSG_PREFIX	CA_NAME

/* The version of dm-crypt that this module stands in for: cryptsetup looks for features by it. */
#define DM_CRYPT_VERSION	{ 1, 29, 0 }

/* Values of replace_dm_crypt. */
enum replace {
	REPLACE_NOT,
	REPLACE_TOO,	/* both names */
	REPLACE_ONLY,	/* dm-crypt's name alone */
	REPLACE_SHOWN,	/* its own name, and tables are shown as dm-crypt's */
};

static const char *const values[] = {
	[REPLACE_NOT] = "N",
	[REPLACE_TOO] = "Y",
	[REPLACE_ONLY] = "only",
	[REPLACE_SHOWN] = "shown",
};

/**
 * struct name - a name of the target
 * @type: what is registered; constant once the module is there
 * @is_registered: it is; protected by names_lock
 * @devices: those whose table is shown by it, by ca_device.name_entry; protected by names_lock
 */
struct name {
	struct target_type *type;
	bool is_registered;
	struct list_head devices;
};

static struct target_type stand_in;
static struct name own = { .devices = LIST_HEAD_INIT(own.devices) };
static struct name dm_crypts = { .type = &stand_in, .devices = LIST_HEAD_INIT(dm_crypts.devices) };

/* Protects the following as well; taken outside the device mapper's locks. */
static DEFINE_MUTEX(names_lock);
static enum replace replace;
static bool is_ready;	/* from init to exit; else a write to the parameter changes no name */

/* ------------------------------------------------------------------------------- names */

static int take(struct name *name)
{
	int err;

	if (name->is_registered)
		return 0;
	err = dm_register_target(name->type);
	if (err == -EEXIST || err == -EBUSY) {	/* the latter since Linux 7 */
		DMERR("replace_dm_crypt: dm-crypt has the name crypt: modprobe -r dm_crypt");
		err = -EBUSY;
	}
	name->is_registered = !err;
	return err;
}

static void drop(struct name *name)
{
	if (name->is_registered)
		dm_unregister_target(name->type);
	name->is_registered = false;
}

/* Says which mapped devices use a name. */
static void log_users(const struct name *name)
{
	char text[DM_NAME_LEN];
	struct ca_device *ca;

	list_for_each_entry(ca, &name->devices, name_entry) {
		if (dm_copy_name_and_uuid(dm_table_get_md(ca->ti->table), text, NULL))
			strscpy(text, ca_device_name(ca), sizeof(text));
		DMERR("replace_dm_crypt: the name %s stays: %s uses it", name->type->name, text);
	}
}

static int give_up(struct name *name)
{
	if (!list_empty(&name->devices)) {
		log_users(name);
		return -EBUSY;
	}
	drop(name);
	return 0;
}

/*
 * The device mapper reads the pointer at any time. It gets one or the other, and both are the same
 * but for name and version; the module that it refers to is the same, too.
 */
static void show_as_crypt(struct ca_device *ca)
{
	WRITE_ONCE(ca->ti->type, &stand_in);
}

static void show_all_as_crypt(void)
{
	struct ca_device *ca;

	list_for_each_entry(ca, &own.devices, name_entry)
		show_as_crypt(ca);
	list_splice_tail_init(&own.devices, &dm_crypts.devices);
}

/* Takes and gives up names. Return: 0; or a negative errno, and all is as it was. */
static int change(enum replace value)
{
	const bool has_own = own.is_registered, has_dm_crypts = dm_crypts.is_registered;
	int err = 0;

	lockdep_assert_held(&names_lock);
	/* Registers names before it drops others, so that the target has one at any time. */
	if (value == REPLACE_TOO || value == REPLACE_ONLY)
		err = take(&dm_crypts);
	if (!err && value != REPLACE_ONLY)
		err = take(&own);
	if (!err && value == REPLACE_SHOWN) {
		show_all_as_crypt();
		drop(&dm_crypts);
	}
	if (!err && value == REPLACE_NOT)
		err = give_up(&dm_crypts);
	if (!err && value == REPLACE_ONLY)
		err = give_up(&own);
	if (!err)
		return 0;
	if (!has_own)
		drop(&own);
	if (!has_dm_crypts)
		drop(&dm_crypts);
	return err;
}

/* --------------------------------------------------------------------------- parameter */

static int set_replace(const char *text, const struct kernel_param *param)
{
	enum replace value;
	bool is_yes;
	int err = 0;

	if (sysfs_streq(text, values[REPLACE_ONLY])) {
		value = REPLACE_ONLY;
	} else if (sysfs_streq(text, values[REPLACE_SHOWN])) {
		value = REPLACE_SHOWN;
	} else if (!kstrtobool(text, &is_yes)) {
		value = is_yes ? REPLACE_TOO : REPLACE_NOT;
	} else {
		DMERR("replace_dm_crypt: use N, Y, only or shown");
		return -EINVAL;
	}
	mutex_lock(&names_lock);
	if (is_ready)
		err = change(value);
	if (!err)
		replace = value;
	mutex_unlock(&names_lock);
	return err;
}

static int get_replace(char *text, const struct kernel_param *param)
{
	int size;

	mutex_lock(&names_lock);
	size = sysfs_emit(text, "%s\n", values[replace]);
	mutex_unlock(&names_lock);
	return size;
}

static const struct kernel_param_ops replace_ops = {
	.set = set_replace,
	.get = get_replace,
};

module_param_cb(replace_dm_crypt, &replace_ops, NULL, 0644);
MODULE_PARM_DESC(replace_dm_crypt,
		 "Names of the target: N: crypt-async; Y: crypt as well, in place of dm-crypt; only: crypt alone; shown: crypt-async, and its tables are shown as crypt");

/* ------------------------------------------------------------------------------ module */

/**
 * ca_names_init() - registers the target by the names that replace_dm_crypt asks for
 * @type: the target under its own name; used from now on until ca_names_exit()
 *
 * Return: 0 or a negative errno.
 */
int ca_names_init(struct target_type *type)
{
	static const unsigned int version[] = DM_CRYPT_VERSION;
	int err;

	own.type = type;
	stand_in = *type;
	stand_in.name = CA_DM_CRYPT_NAME;
	memcpy(stand_in.version, version, sizeof(version));
	mutex_lock(&names_lock);
	err = change(replace);
	is_ready = !err;
	mutex_unlock(&names_lock);
	return err;
}

/**
 * ca_names_exit() - gives up all names
 *
 * No table uses one, or the module could not be unloaded. A write to the parameter is still
 * possible, and changes nothing.
 */
void ca_names_exit(void)
{
	mutex_lock(&names_lock);
	is_ready = false;
	drop(&own);
	drop(&dm_crypts);
	mutex_unlock(&names_lock);
}

static struct name *name_of(const struct ca_device *ca)
{
	return ca->ti->type == &stand_in ? &dm_crypts : &own;
}

/**
 * ca_names_enter() - notes that a table uses the name that it asked for
 * @ca: a new device
 *
 * Return: 0; -ENXIO if the name was given up since the device mapper found it.
 */
int ca_names_enter(struct ca_device *ca)
{
	struct name *name;
	int err = -ENXIO;

	mutex_lock(&names_lock);
	if (replace == REPLACE_SHOWN)
		show_as_crypt(ca);
	name = name_of(ca);
	if (name->is_registered || replace == REPLACE_SHOWN) {
		list_add_tail(&ca->name_entry, &name->devices);
		err = 0;
	}
	mutex_unlock(&names_lock);
	return err;
}

/**
 * ca_names_leave() - notes that a table that used a name goes
 * @ca: the device
 */
void ca_names_leave(struct ca_device *ca)
{
	mutex_lock(&names_lock);
	list_del(&ca->name_entry);
	mutex_unlock(&names_lock);
}

/**
 * ca_names_shown() - tells the name that a table is shown by
 * @ti: the target
 *
 * Return: the name, which is constant; it may be another one from the next call on.
 */
const char *ca_names_shown(const struct dm_target *ti)
{
	return READ_ONCE(ti->type)->name;
}
