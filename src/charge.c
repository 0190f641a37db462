// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starts the accounting of a base bio, and learns its control group, before any of its fragments is
 * submitted.
 *
 * dm_submit_bio_remap() starts the accounting with the first bio that it gets, without a lock, and
 * fragments are submitted at the same time. It also gives that bio the control group of the bio
 * that the device mapper was given, which a target does not know. So it first gets a bio that goes
 * nowhere.
 */
#include "charge.h"

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/bug.h>

#include "../dm-crypt-async.h"
#include "base.h"

/**
 * ca_charge_start() - starts the base bio's accounting, and sets base->css
 * @base: of a write; of a zoned device none, whose fragments are submitted one by one
 *
 * The block layer refuses an append at sector 1, at once and on any device, since no zone begins
 * there and others than zoned devices take no appends. So the bio may lie on the stack. It is made
 * to expect a second end, which never comes: after its last end it would have no group any more.
 *
 * Context: Task; does not sleep. No other thread submits a fragment of the base yet.
 */
void ca_charge_start(struct ca_base *base)
{
	const struct ca_device *ca = base->ca;
	struct bio bio;

	base->is_accounted = true;
	bio_init(&bio, ca->dev->bdev, NULL, 0, REQ_OP_ZONE_APPEND);
	bio.bi_iter.bi_sector = 1;
	bio_inc_remaining(&bio);
	dm_submit_bio_remap(base->bio, &bio);
	WARN_ON_ONCE(atomic_read(&bio.__bi_remaining) != 1);
	base->css = bio_blkcg_css(&bio);
	bio_uninit(&bio);
}
