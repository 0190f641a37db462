/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: crypt_async:ca_bio, ca_base_move, ca_move and ca_bio_end. They say where a bio is
 * and what happens to its fragments; they never show data or keys. Off, each is an instruction that
 * does nothing.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM crypt_async

#if !defined(CA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CA_TRACE_H

#include <linux/blk_types.h>
#include <linux/tracepoint.h>

struct ca_base;
struct dm_crypt_io;

TRACE_DEFINE_ENUM(CA_BASE_NEW);
TRACE_DEFINE_ENUM(CA_BASE_READING);
TRACE_DEFINE_ENUM(CA_BASE_READ);
TRACE_DEFINE_ENUM(CA_BASE_RECHECKING);
TRACE_DEFINE_ENUM(CA_BASE_ENDED);
TRACE_DEFINE_ENUM(CA_FRAGMENT_NEW);
TRACE_DEFINE_ENUM(CA_FRAGMENT_SPLIT);
TRACE_DEFINE_ENUM(CA_FRAGMENT_CONVERTING);
TRACE_DEFINE_ENUM(CA_FRAGMENT_PARKING);
TRACE_DEFINE_ENUM(CA_FRAGMENT_CONVERTED);
TRACE_DEFINE_ENUM(CA_FRAGMENT_WRITING);
TRACE_DEFINE_ENUM(CA_FRAGMENT_ENDED);

#define ca_trace_base_state(value)					\
	__print_symbolic(value,						\
		{ CA_BASE_NEW, "NEW" }, { CA_BASE_READING, "READING" },	\
		{ CA_BASE_READ, "READ" },				\
		{ CA_BASE_RECHECKING, "RECHECKING" },			\
		{ CA_BASE_ENDED, "ENDED" })

#define ca_trace_state(value)						\
	__print_symbolic(value,						\
		{ CA_FRAGMENT_NEW, "NEW" },				\
		{ CA_FRAGMENT_SPLIT, "SPLIT" },				\
		{ CA_FRAGMENT_CONVERTING, "CONVERTING" },		\
		{ CA_FRAGMENT_PARKING, "PARKING" },			\
		{ CA_FRAGMENT_CONVERTED, "CONVERTED" },			\
		{ CA_FRAGMENT_WRITING, "WRITING" },			\
		{ CA_FRAGMENT_ENDED, "ENDED" })

/* A base bio comes, at a sector of the mapped device. */
TRACE_EVENT(ca_bio,
	TP_PROTO(const struct ca_base *base),
	TP_ARGS(base),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(u64, sector)
		__field(unsigned int, bytes)
		__field(bool, write)
	),
	TP_fast_assign(
		strscpy(__entry->dev, ca_device_name(base->ca), 16);
		__entry->base = base;
		__entry->sector = base->ca->ti->begin + base->sector;
		__entry->bytes = base->all.bi_size;
		__entry->write = base->is_write;
	),
	TP_printk("%s %s base=%p sector=%llu bytes=%u", __entry->dev,
		  __entry->write ? "write" : "read", __entry->base, __entry->sector,
		  __entry->bytes)
);

/* A base goes from one state to another; base.h lists these. */
TRACE_EVENT(ca_base_move,
	TP_PROTO(const struct ca_base *base, int from, int to),
	TP_ARGS(base, from, to),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(u64, sector)
		__field(unsigned int, bytes)
		__field(bool, write)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		strscpy(__entry->dev, ca_device_name(base->ca), 16);
		__entry->base = base;
		__entry->sector = base->ca->ti->begin + base->sector;
		__entry->bytes = base->all.bi_size;
		__entry->write = base->is_write;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("%s %s base=%p sector=%llu bytes=%u %s -> %s", __entry->dev,
		  __entry->write ? "write" : "read", __entry->base, __entry->sector,
		  __entry->bytes, ca_trace_base_state(__entry->from),
		  ca_trace_base_state(__entry->to))
);

/* A fragment goes from one state to another; fragment.h lists these. */
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
		strscpy(__entry->dev, ca_device_name(io->ca), 16);
		__entry->base = io->base;
		__entry->io = io;
		__entry->sector = io->ca->ti->begin + io->sector;
		__entry->bytes = io->bytes;
		__entry->write = io->is_write;
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
	TP_PROTO(const struct ca_base *base),
	TP_ARGS(base),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(const void *, base)
		__field(bool, write)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->dev, ca_device_name(base->ca), 16);
		__entry->base = base;
		__entry->write = base->is_write;
		__entry->error = blk_status_to_errno((__force blk_status_t)base->status);
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
