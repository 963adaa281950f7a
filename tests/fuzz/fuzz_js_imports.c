/*
 * fuzz_js_imports - arbitrary bytes as the text of a JavaScript module: each name that is found
 * stands in it, between equal quotes, in one line
 */
#include "index/js_imports.h"

#include <string.h>

static bool stands_in(struct bytes name, struct bytes text)
{
	const uint8_t *at = text.p;
	size_t left = text.n;
	while ((at = memmem(at, left, name.p, name.n)) != NULL) {
		const uint8_t *end = at + name.n;
		if (at > text.p && end < text.p + text.n && at[-1] == *end && strchr("'\"`", *end))
			return true;
		at++;
		left = text.n - (size_t)(at - text.p);
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = xcalloc(1, size); /* of exactly that size: a read beyond it is seen */
	struct js_imports list = {0};
	struct bytes text = {copy, size}, name;
	size_t at = 0;
	if (size)
		memcpy(copy, data, size);
	js_imports_of(text, &list);
	while (js_imports_next(&list, &at, &name)) {
		BUG_ON(name.n == 0 || name.n > JS_NAME_MAX || memchr(name.p, '\n', name.n));
		BUG_ON(!stands_in(name, text));
	}
	js_imports_fini(&list);
	free(copy);
	return 0;
}
