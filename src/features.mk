# SPDX-License-Identifier: GPL-2.0-only
#
# Tells src/compat.h what the kernel's headers have where no macro does: CA_HAS_NAME is defined if they do. This does not
# ask for the kernel's version, since kernels of distributions, and stable ones, have parts of later releases.

ca_include := $(srctree)/include/linux

# The header $(1); the expression $(2) in one of the headers $(3).
ca_header = $(if $(wildcard $(ca_include)/$(1)),-DCA_HAS_$(2))
ca_find = $(if $(shell grep -l '$(1)' $(wildcard $(addprefix $(ca_include)/,$(2))) </dev/null),-DCA_HAS_$(3))

ccflags-y += $(call ca_header,hex.h,HEX_H)
ccflags-y += $(call ca_header,unaligned.h,UNALIGNED_H)
ccflags-y += $(call ca_find,bdev_synchronous,blkdev.h,BDEV_SYNCHRONOUS)
ccflags-y += $(call ca_find,bd_has_submit_bio;,blk_types.h,BD_HAS_SUBMIT_BIO)
ccflags-y += $(call ca_find,struct shrinker \*shrinker_alloc,shrinker.h,SHRINKER_ALLOC)
ccflags-y += $(call ca_find,bi_write_hint;,blk_types.h,BI_WRITE_HINT)
ccflags-y += $(call ca_find,define blk_alloc_disk.lim,blkdev.h,DISK_LIMITS)
ccflags-y += $(call ca_find,BIO_EMULATES_ZONE_APPEND,blk_types.h,EMULATED_APPENDS)
ccflags-y += $(call ca_find,BLK_INTEGRITY_CSUM_NONE,blkdev.h blk-integrity.h,CSUM_NONE)
ccflags-y += $(call ca_find,bi_write_stream;,blk_types.h,BI_WRITE_STREAM)
ccflags-y += $(call ca_find,WQ_PERCPU,workqueue.h,WQ_PERCPU)
ccflags-y += $(call ca_find,metadata_size;,blkdev.h blk-integrity.h,METADATA_SIZE)
