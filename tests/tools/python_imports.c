/*
 * python_imports - what Python modules import when they are loaded, for the end-to-end test
 *
 *   python_imports FILE...   a line each, in the order of the file: level TAB name TAB file
 *
 * A file is read as a compiled module if it begins like one, else as text.
 */
#include "index/python_imports.h"

#include <stdio.h>
#include <string.h>

#define INPUT_MAX (64u << 20)

static void print_imports(const char *path, const struct python_imports *list)
{
	size_t at = 0;
	for (struct python_import import; python_imports_next(list, &at, &import);) {
		printf("%u\t", import.level);
		fwrite(import.name.p, 1, import.name.n, stdout);
		printf("\t%s\n", path);
	}
}

static int run_file(const char *path)
{
	auto_buf struct buf file = {0};
	struct python_imports list = {0};
	unsigned minor;
	err_t err = read_file(path, INPUT_MAX, &file);
	if (err) {
		fprintf(stderr, "python_imports: %s: %s\n", path, strerror(-err));
		return 1;
	}
	if (python_is_code(buf_bytes(&file), &minor))
		python_imports_of_code(buf_bytes(&file), &list);
	else
		python_imports_of_source(buf_bytes(&file), &list);
	print_imports(path, &list);
	python_imports_fini(&list);
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;
	if (argc < 2) {
		fputs("usage: python_imports FILE...\n", stderr);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		status |= run_file(argv[i]);
	return status || fflush(stdout) ? 1 : 0;
}
