/*
 * fuzz_program - arbitrary bytes as the beginning of a script: refused, or what it names lies
 * inside the first line
 */
#include "index/program.h"

#include <string.h>

static bool inside(struct bytes part, const uint8_t *line, size_t n)
{
	return part.p >= line && part.n <= n && (size_t)(part.p - line) <= n - part.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *head =
		xcalloc(1, size); /* of exactly that size, so that a read beyond it is seen */
	if (size)
		memcpy(head, data, size);
	struct script script;
	if (program_script((struct bytes){head, size}, &script)) {
		const uint8_t *end = memchr(head, '\n', size);
		BUG_ON(!end || end - head >= (ptrdiff_t)PROGRAM_LINE_MAX);
		size_t n = (size_t)(end - head);
		BUG_ON(!inside(script.interpreter, head, n) || script.interpreter.p[0] != '/');
		BUG_ON(script.program.n && !inside(script.program, head, n));
	}
	free(head);
	return 0;
}
