// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device mapper of one mapping with a few targets, whose answers can be spoilt.
 */
#include "made_up_dm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void put_text(char *to, const char *text)
{
	memcpy(to, text, strlen(text) + 1);
}

struct made_up_kernel kernel_state;
unsigned long fail_from, allocations;

void *__wrap_calloc(size_t count, size_t size)
{
	return fail_from && ++allocations >= fail_from ? NULL : __real_calloc(count, size);
}

void *__wrap_malloc(size_t size)
{
	return fail_from && ++allocations >= fail_from ? NULL : __real_malloc(size);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

int answer_status(struct dm_ioctl *dmi, size_t capacity)
{
	bool is_table = dmi->flags & DM_STATUS_TABLE_FLAG;
	char *data = (char *)dmi + sizeof(*dmi);
	size_t at = 0, left = capacity - sizeof(*dmi);
	unsigned int i;

	kernel_state.statuses++;
	dmi->data_start = sizeof(*dmi);
	dmi->target_count = kernel_state.count;
	for (i = 0; i < kernel_state.count; i++) {
		const struct target *target = &kernel_state.targets[i];
		struct dm_target_spec spec = { .sector_start = 8 * i, .length = 8 };
		char text[256];
		size_t size;

		if (is_table)
			snprintf(text, sizeof(text), "%s%s%s",
				 target->key ? "aes-xts-plain64 " : "254:0 0",
				 target->key ? target->key : "", target->key ? PARAMS : "");
		else
			put_text(text, target->status ? target->status : "reads=1");
		size = (sizeof(spec) + strlen(text) + 1 + 7) & ~7UL;
		if (at + size > left) {
			dmi->flags |= DM_BUFFER_FULL_FLAG;
			break;
		}
		put_text(spec.target_type, target->type);
		spec.next = at + size;
		memcpy(data + at, &spec, sizeof(spec));
		put_text(data + at + sizeof(spec), text);
		at += size;
	}
	dmi->data_size = at ? sizeof(*dmi) + at : offsetof(struct dm_ioctl, data);
	return 0;
}

static int answer_message(struct dm_ioctl *dmi, size_t capacity)
{
	char *data = (char *)dmi + dmi->data_start;
	unsigned int at;
	__u64 sector;

	kernel_state.messages++;
	memcpy(&sector, data, sizeof(sector));
	at = sector / 8;
	if (strcmp(data + sizeof(sector), "key get") || at >= kernel_state.count)
		return refuse(EINVAL);
	if (!kernel_state.targets[at].answer)
		return refuse(kernel_state.targets[at].error);
	if (strlen(kernel_state.targets[at].answer) + 1 > capacity - sizeof(*dmi)) {
		dmi->flags |= DM_BUFFER_FULL_FLAG;
		return 0;
	}
	dmi->data_start = sizeof(*dmi);
	put_text((char *)dmi + sizeof(*dmi), kernel_state.targets[at].answer);
	dmi->data_size = dmi->data_start + strlen(kernel_state.targets[at].answer) + 1;
	dmi->flags |= DM_DATA_OUT_FLAG;
	return 0;
}

static int answer_load(struct dm_ioctl *dmi)
{
	struct walk walk = walk_request(dmi);
	struct line line;
	unsigned int i = 0;

	kernel_state.loads++;
	while (i < 4 && next_line(&walk, &line) > 0)
		memcpy(kernel_state.loaded[i++], line.type, DM_MAX_TYPE_NAME);
	if (kernel_state.load_error)
		return refuse(kernel_state.load_error);
	dmi->target_count = 0;
	dmi->data_size = sizeof(*dmi);
	return 0;
}

static int answer_versions(struct dm_ioctl *dmi, size_t capacity, const char *only)
{
	const size_t head = sizeof(struct dm_target_versions);
	char *data = (char *)dmi + sizeof(*dmi), *last = NULL;
	__u32 next;
	size_t at = 0;
	int i;

	dmi->data_start = sizeof(*dmi);
	for (i = 0; i < 4 && kernel_state.names[i]; i++) {
		struct dm_target_versions one = { .version = { 0, 2, 0 } };

		if (only && strcmp(only, kernel_state.names[i]))
			continue;
		if (capacity - sizeof(*dmi) < at + 64) {
			dmi->flags |= DM_BUFFER_FULL_FLAG;
			return 0;
		}
		if (last) {
			next = data + at - last;
			memcpy(last, &next, sizeof(next));
		}
		last = data + at;
		memcpy(last, &one, head);
		put_text(last + head, kernel_state.names[i]);
		at += (head + strlen(kernel_state.names[i]) + 1 + 7) & ~7UL;
	}
	if (!last)
		return refuse(EINVAL);
	dmi->data_size = sizeof(*dmi) + at;
	return 0;
}

int made_up(int fd, unsigned long request, void *arg)
{
	struct dm_ioctl *dmi = arg;
	size_t capacity;
	int ret;

	if (fd < 0 || _IOC_TYPE(request) != DM_IOCTL || !arg)
		return fd;
	capacity = dmi->data_size;
	/* Whoever asks in between may find that. */
	errno = ELOOP;
	if (kernel_state.is_gone)
		return refuse(ENXIO);
	switch (_IOC_NR(request)) {
	case DM_TABLE_STATUS_CMD:
		ret = answer_status(dmi, capacity);
		break;
	case DM_TARGET_MSG_CMD:
		ret = answer_message(dmi, capacity);
		break;
	case DM_TABLE_LOAD_CMD:
		return answer_load(dmi);
	case DM_LIST_VERSIONS_CMD:
		ret = answer_versions(dmi, capacity, NULL);
		break;
	case DM_GET_TARGET_VERSION_CMD:
		ret = answer_versions(dmi, capacity, dmi->name);
		break;
	default:
		return fd;
	}
	if (!ret && kernel_state.spoil &&
	    (!kernel_state.spoils || _IOC_NR(request) == kernel_state.spoils))
		kernel_state.spoil(dmi, capacity);
	return ret;
}

/* Answers that no kernel gives. */
unsigned int spoilt;

void spoil_one(struct dm_ioctl *dmi, size_t capacity)
{
	char *data = (char *)(dmi + 1);
	__u32 next[] = { 0, 1, 39, 0x7fffffff, 0xffffffff };

	switch (spoilt) {
	case 0:
		dmi->data_size = capacity + 1;
		break;
	case 1:
		dmi->data_size = 0xffffffff;
		break;
	case 2:
		dmi->data_start = dmi->data_size + 1;
		break;
	case 3:
		dmi->data_start = 0;
		break;
	case 4:
		dmi->target_count = 0xffffffff;
		break;
	case 5:
		dmi->target_count++;
		break;
	case 6:
		dmi->data_size = dmi->data_start + 8;
		break;
	case 7:
		memset(data, 'x', dmi->data_size - sizeof(*dmi));
		break;
	case 8:
		if (dmi->data_size > sizeof(*dmi) + 40)
			memset(data + 40, 'x', dmi->data_size - sizeof(*dmi) - 40);
		break;
	case 9:
		dmi->data_size = capacity;
		memset(data, '1', capacity - sizeof(*dmi));
		break;
	default:
		memcpy(data + offsetof(struct dm_target_spec, next), &next[spoilt - 10], 4);
	}
}
