// SPDX-License-Identifier: GPL-2.0-only
//
// Writes out what src/compat.h has for older kernels than a patch is made for, and what
// scripts/packaging/in_tree.py cannot write out by itself. That leaves out the functions of these
// names, and zoned_redirect.[ch].

// Before Linux 6.10 writes to zoned devices go through a disk that delays them.

@@ @@
- #include "zoned_redirect.h"

@@
expression ca, condition;
statement S;
@@
- if (unlikely(ca->zoned_redirect && condition)) S

@@ @@
 struct ca_device {
 	...
- 	struct gendisk *zoned_redirect;
 	...
 };

@@ @@
- struct gendisk;

@made@
expression ca;
identifier err, undo;
@@
- err = ca_zoned_redirect_init(ca);
- if (err)
- 	goto undo;

@depends on made@
identifier made.undo;
statement S;
@@
- undo: S

@@
expression ca;
@@
- ca_zoned_redirect_exit(ca);

// Before Linux 6.7 a shrinker is part of a structure of the driver's own.

@@
symbol shrinker;
@@
- static struct ca_shrinker shrinker;
+ static struct shrinker *shrinker;

@added@
symbol shrinker;
expression count, scan, name;
identifier err;
statement S;
@@
- err = ca_shrinker_add(&shrinker, count, scan, name);
- if (err) S
- return err;
+ shrinker = shrinker_alloc(0, name);
+ if (!shrinker) {
+ 	S
+ 	return -ENOMEM;
+ }
+ shrinker->count_objects = count;
+ shrinker->scan_objects = scan;
+ shrinker_register(shrinker);
+ return 0;

@depends on added@
identifier added.err;
@@
- int err;
  ... when != err

@@
symbol shrinker;
@@
- ca_shrinker_del(&shrinker);
+ shrinker_free(shrinker);

// Other modules cannot include the device mapper's own header.

@@
expression prefix, ti, result;
@@
- dm_audit_log_ti(AUDIT_DM_CTRL, prefix, "ctr", ti, result);
+ dm_audit_log_ctr(prefix, ti, result);

@@
expression prefix, ti, result;
@@
- dm_audit_log_ti(AUDIT_DM_CTRL, prefix, "dtr", ti, result);
+ dm_audit_log_dtr(prefix, ti, result);
