/*
 * fuzz_python - arbitrary bytes as a Python module, compiled and as text: the names that are found
 * are within the limits
 */
#include "index/python_imports.h"

#include <string.h>

static void check(struct python_imports *list)
{
	struct python_import import;
	size_t at = 0, n = 0;
	BUG_ON(list->records.n > PYTHON_NAMES_SIZE);
	while (python_imports_next(list, &at, &import)) {
		BUG_ON(import.level > 255);
		BUG_ON(import.name.n > PYTHON_NAME_MAX);
		n += import.name.n;
	}
	BUG_ON(n > PYTHON_NAMES_SIZE);
	python_imports_fini(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file =
		xcalloc(1, size); /* of exactly that size, so that a read beyond it is seen */
	const struct bytes all = {file, size};
	struct python_imports of_code = {0}, of_source = {0};
	unsigned minor;
	if (size)
		memcpy(file, data, size);
	python_imports_of_code(all, &of_code);
	python_imports_of_source(all, &of_source);
	BUG_ON(!python_is_code(all, &minor) && of_code.records.n);
	free(file);
	check(&of_code);
	check(&of_source);
	return 0;
}
