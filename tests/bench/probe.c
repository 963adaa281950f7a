/*
 * probe - system calls in a loop, timed: what python and coreutils would blur.
 *
 *   probe small LIST ROOT            open, read to the end, close: each path of LIST below ROOT
 *   probe stat LIST ROOT             lstat of each
 *   probe read FILE                  in order, 1 MiB at a time
 *   probe random FILE COUNT          COUNT reads of 4 KiB at random places
 *   probe readers N LIST ROOT        N threads; each does "small" with its share of the list
 *
 * Prints nanoseconds and bytes. The list is read, and threads are made, before the clock starts.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, SMALL = 4096 };

struct job {
	char **paths;
	size_t first, step, n;
	uint64_t bytes;
	pthread_barrier_t *start;
};

static int root_fd = AT_FDCWD;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static char **list_read(const char *path, size_t *n)
{
	FILE *file = fopen(path, "re");
	char **paths = NULL, *line = NULL;
	size_t room = 0, cap = 0;
	ssize_t len;

	if (!file)
		err(1, "%s", path);
	for (*n = 0; (len = getline(&line, &room, file)) > 0; line = NULL, room = 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = 0;
		if (*n == cap)
			paths = reallocarray(paths, cap = cap ? 2 * cap : 1024, sizeof(*paths));
		if (!paths)
			err(1, "list");
		paths[(*n)++] = line;
	}
	fclose(file);
	return paths;
}

static uint64_t drain(int fd, char *buffer)
{
	uint64_t sum = 0;
	ssize_t got;

	while ((got = read(fd, buffer, BUFFER)) > 0)
		sum += (uint64_t)got;
	if (got < 0)
		err(1, "read");
	return sum;
}

static void *small_run(void *arg)
{
	struct job *job = arg;
	char *buffer = malloc(BUFFER);

	if (!buffer)
		err(1, "buffer");
	memset(buffer, 0, BUFFER);
	if (job->start)
		pthread_barrier_wait(job->start);
	for (size_t i = job->first; i < job->n; i += job->step) {
		int fd = openat(root_fd, job->paths[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			err(1, "%s", job->paths[i]);
		job->bytes += drain(fd, buffer);
		close(fd);
	}
	free(buffer);
	return NULL;
}

static uint64_t readers_run(size_t threads, char **paths, size_t n, uint64_t *bytes)
{
	pthread_t *ids = calloc(threads, sizeof(*ids));
	struct job *jobs = calloc(threads, sizeof(*jobs));
	pthread_barrier_t start;
	uint64_t begin;

	if (!ids || !jobs)
		err(1, "threads");
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (size_t i = 0; i < threads; i++) {
		jobs[i] = (struct job){
			.paths = paths, .first = i, .step = threads, .n = n, .start = &start};
		if (pthread_create(&ids[i], NULL, small_run, &jobs[i]))
			errx(1, "no thread");
	}
	pthread_barrier_wait(&start);
	begin = now_ns();
	for (size_t i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		*bytes += jobs[i].bytes;
	}
	return now_ns() - begin;
}

static uint64_t stat_run(char **paths, size_t n)
{
	uint64_t begin = now_ns();
	struct stat st;

	for (size_t i = 0; i < n; i++)
		if (fstatat(root_fd, paths[i], &st, AT_SYMLINK_NOFOLLOW))
			err(1, "%s", paths[i]);
	return now_ns() - begin;
}

static int open_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static uint64_t read_run(const char *path, uint64_t *bytes)
{
	struct job one = {.bytes = 0};
	char *buffer = malloc(BUFFER);
	uint64_t begin;
	int fd;

	if (!buffer)
		err(1, "buffer");
	memset(buffer, 0, BUFFER);
	begin = now_ns();
	fd = open_read(path);
	one.bytes = drain(fd, buffer);
	close(fd);
	*bytes = one.bytes;
	return now_ns() - begin;
}

static uint64_t random_run(const char *path, size_t count, uint64_t *bytes)
{
	uint64_t begin, seed = 88172645463325252u;
	char buffer[SMALL];
	int fd = open_read(path);
	off_t pages = lseek(fd, 0, SEEK_END) / SMALL;

	if (pages <= 0)
		errx(1, "%s: too small", path);
	begin = now_ns();
	for (size_t i = 0; i < count; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (pread(fd, buffer, SMALL, (off_t)(seed % (uint64_t)pages) * SMALL) != SMALL)
			err(1, "%s", path);
		*bytes += SMALL;
	}
	return now_ns() - begin;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	uint64_t ns = 0, bytes = 0;
	size_t n;

	if (!strcmp(what, "read")) {
		ns = read_run(argv[2], &bytes);
	} else if (!strcmp(what, "random") && argc == 4) {
		ns = random_run(argv[2], strtoul(argv[3], NULL, 10), &bytes);
	} else if (!strcmp(what, "readers") && argc == 5) {
		char **paths = list_read(argv[3], &n);

		root_fd = open_read(argv[4]);
		ns = readers_run(strtoul(argv[2], NULL, 10), paths, n, &bytes);
	} else if ((!strcmp(what, "small") || !strcmp(what, "stat")) && argc == 4) {
		char **paths = list_read(argv[2], &n);

		root_fd = open_read(argv[3]);
		if (*what == 's' && what[1] == 't') {
			ns = stat_run(paths, n);
		} else {
			struct job job = {.paths = paths, .step = 1, .n = n};

			ns = now_ns();
			small_run(&job);
			ns = now_ns() - ns;
			bytes = job.bytes;
		}
	} else {
		errx(2, "see the head of probe.c");
	}
	printf("%" PRIu64 " %" PRIu64 "\n", ns, bytes);
	return 0;
}
