/*
 * replay - a fuzz target without libFuzzer: every file of the given directories, once
 *
 * Stands in where the compiler is not clang, so that the corpus still runs under gcc's sanitizers.
 * libFuzzer's options are ignored.
 */
#include "index/base.h"

#include <dirent.h>
#include <stdio.h>

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_directory(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir) {
		perror(path);
		exit(1);
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		auto_free char *file = xasprintf("%s/%s", path, entry->d_name);
		auto_buf struct buf input = {0};

		if (entry->d_type != DT_REG || read_file(file, INPUT_MAX, &input) != 0)
			continue;
		LLVMFuzzerTestOneInput(input.p, input.n);
		count++;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			count += replay_directory(argv[i]);
	printf("%d inputs replayed\n", count);
	return 0;
}
