/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: crypt_async:ca_bio, ca_move and ca_bio_end. They say where a bio is and what happens
 * to its fragments, and nothing of what is in it. Off, each is an instruction that does nothing.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM crypt_async

#if !defined(CA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CA_TRACE_H

#include <linux/blk_types.h>
#include <linux/tracepoint.h>

struct dm_crypt_io;

TRACE_DEFINE_ENUM(CA_NEW);
TRACE_DEFINE_ENUM(CA_READING);
TRACE_DEFINE_ENUM(CA_READ);
TRACE_DEFINE_ENUM(CA_CUT);
TRACE_DEFINE_ENUM(CA_CONVERTING);
TRACE_DEFINE_ENUM(CA_PARKING);
TRACE_DEFINE_ENUM(CA_CONVERTED);
TRACE_DEFINE_ENUM(CA_WRITING);
TRACE_DEFINE_ENUM(CA_CHECKING);
TRACE_DEFINE_ENUM(CA_ENDED);

#define ca_trace_state(value)						\
	__print_symbolic(value,						\
		{ CA_NEW, "NEW" }, { CA_READING, "READING" },	\
		{ CA_READ, "READ" }, { CA_CUT, "CUT" },	\
		{ CA_CONVERTING, "CONVERTING" }, { CA_PARKING, "PARKING" },	\
		{ CA_CONVERTED, "CONVERTED" }, { CA_WRITING, "WRITING" },	\
		{ CA_CHECKING, "CHECKING" }, { CA_ENDED, "ENDED" })

/* A base bio comes, at a sector of the mapped device. */
TRACE_EVENT(ca_bio,
	TP_PROTO(const struct dm_crypt_io *base),
	TP_ARGS(base),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(u64, sector)
		__field(unsigned int, bytes)
		__field(bool, write)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dm_table_device_name(base->ca->ti->table), 16);
		__entry->base = base;
		__entry->sector = base->ca->ti->begin + base->sector;
		__entry->bytes = base->bytes;
		__entry->write = bio_data_dir(base->base_bio) == WRITE;
	),
	TP_printk("%s %s base=%p sector=%llu bytes=%u", __entry->dev,
		  __entry->write ? "write" : "read", __entry->base, __entry->sector,
		  __entry->bytes)
);

/* A fragment goes from one state to another; docs/design.md has a picture of these. */
TRACE_EVENT(ca_move,
	TP_PROTO(const struct dm_crypt_io *io, int from, int to),
	TP_ARGS(io, from, to),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(const void *, io)
		__field(u64, sector)
		__field(unsigned int, bytes)
		__field(bool, write)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dm_table_device_name(io->ca->ti->table), 16);
		__entry->base = io->base_io ? io->base_io : io;
		__entry->io = io;
		__entry->sector = io->ca->ti->begin + io->sector;
		__entry->bytes = io->bytes;
		__entry->write = bio_data_dir(io->base_bio) == WRITE;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("%s %s base=%p io=%p sector=%llu bytes=%u %s -> %s", __entry->dev,
		  __entry->write ? "write" : "read", __entry->base, __entry->io,
		  __entry->sector, __entry->bytes, ca_trace_state(__entry->from),
		  ca_trace_state(__entry->to))
);

/* A base bio ends. */
TRACE_EVENT(ca_bio_end,
	TP_PROTO(const struct dm_crypt_io *base),
	TP_ARGS(base),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(bool, write)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dm_table_device_name(base->ca->ti->table), 16);
		__entry->base = base;
		__entry->write = bio_data_dir(base->base_bio) == WRITE;
		__entry->error = blk_status_to_errno(base->status);
	),
	TP_printk("%s %s base=%p error=%d", __entry->dev, __entry->write ? "write" : "read",
		  __entry->base, __entry->error)
);

#endif /* CA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
