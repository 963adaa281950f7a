#include "index/python_imports.h"

#include <string.h>

#define LEVEL_MAX 255u

void python_imports_fini(struct python_imports *list)
{
	buf_fini(&list->records);
}

/* A record: the level, the name's length, the name. */
bool python_imports_add(struct python_imports *list, unsigned level, struct bytes of,
			struct bytes name)
{
	uint8_t record[2 + PYTHON_NAME_MAX];
	size_t n = 2, dot = of.n && name.n;
	if (level > LEVEL_MAX || of.n > PYTHON_NAME_MAX || name.n > PYTHON_NAME_MAX ||
	    of.n + dot + name.n > PYTHON_NAME_MAX)
		return true;
	if (of.n)
		memcpy(record + n, of.p, of.n);
	n += of.n;
	if (dot)
		record[n++] = '.';
	if (name.n)
		memcpy(record + n, name.p, name.n);
	n += name.n;
	record[0] = (uint8_t)level;
	record[1] = (uint8_t)(n - 2);
	list->records.limit = PYTHON_NAMES_SIZE;
	return buf_append(&list->records, record, n) == 0;
}

bool python_imports_next(const struct python_imports *list, size_t *at, struct python_import *out)
{
	struct bytes all = buf_bytes(&list->records);
	if (*at == all.n)
		return false;
	const uint8_t *record = all.p + *at;
	*out = (struct python_import){record[0], {record + 2, record[1]}};
	*at += 2u + record[1];
	return true;
}
