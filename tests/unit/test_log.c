/* Log lines: their form, their level, and how many of one kind there may be. */
#include "fetch/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *lines;

/* From now on lines go to a file of their own. */
static int new_file(void **state)
{
	(void)state;
	lines = tmpfile();
	if (!lines)
		return -1;
	log_to_fd(fcntl(fileno(lines), F_DUPFD_CLOEXEC, 3));
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int close_file(void **state)
{
	(void)state;
	log_to_fd(STDERR_FILENO);
	return fclose(lines);
}

static size_t written(char *text, size_t size)
{
	rewind(lines);
	size_t n = fread(text, 1, size - 1, lines);
	text[n] = 0;
	return n;
}

static void form(void **state)
{
	char text[4096];
	(void)state;
	log_info("test.form", "key=%d name=%s", 5, "a\nb\x1b[2J\xc2\x9b\xe2\x80\xae");
	log_debug("test.form", "not shown");
	written(text, sizeof(text));
	assert_string_equal(text, "imgfs: info test.form key=5 name=a?b?[2J??\n");
	assert_true(log_enabled(LOG_LEVEL_WARN));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

static void long_line(void **state)
{
	char text[8192], value[4000];
	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	log_warn("test.long", "%s", value);
	size_t n = written(text, sizeof(text));
	assert_in_range(n, 1000, 2048);
	assert_int_equal(text[n - 1], '\n');
}

static void burst(void **state)
{
	char text[8192];
	unsigned n = 0;
	(void)state;
	for (int i = 0; i < 3 * LOG_BURST; i++)
		log_warn("test.burst", "n=%d", i);
	log_warn("test.other", "is not held back");
	written(text, sizeof(text));
	for (const char *at = text; (at = strstr(at, "test.burst")); at++)
		n++;
	assert_int_equal(n, LOG_BURST);
	assert_non_null(strstr(text, "test.other"));
}

static void *log_much(void *arg)
{
	static const char *const events[] = {"test.a", "test.b", "test.c"};
	(void)arg;
	for (int i = 0; i < 300; i++)
		log_warn(events[i % 3], "thread line=%d", i);
	return NULL;
}

static void threads(void **state)
{
	char text[8192];
	pthread_t ids[4];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		assert_int_equal(pthread_create(&ids[i], NULL, log_much, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		pthread_join(ids[i], NULL);
	written(text, sizeof(text));
	unsigned n = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++)
		assert_int_equal(strncmp(line, "imgfs: warn test.", 17), 0);
	assert_int_equal(n, 3 * LOG_BURST);
}

static void *log_one(void *arg)
{
	(void)arg;
	log_warn("test.stuck", "into a pipe that is full");
	return NULL;
}

static void *log_held_back(void *arg)
{
	(void)arg;
	log_warn("test.slow", "is one too many, so it is not printed");
	return NULL;
}

/* Who waits for a slow reader of the log holds nobody up that has nothing to print. */
static void slow_reader(void **state)
{
	int ends[2];
	char piece[65536];
	pthread_t stuck, other;
	struct timespec until;
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_to_fd(ends[1]);
	for (int i = 0; i < LOG_BURST; i++)
		log_warn("test.slow", "i=%d", i);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], "x", 1) == 1)
		continue;
	fcntl(ends[1], F_SETFL, 0);
	assert_int_equal(pthread_create(&stuck, NULL, log_one, NULL), 0);
	usleep(50000);
	assert_int_equal(pthread_create(&other, NULL, log_held_back, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	int late = pthread_timedjoin_np(other, NULL, &until);
	assert_true(read(ends[0], piece, sizeof(piece)) > 0);
	if (late)
		pthread_join(other, NULL);
	pthread_join(stuck, NULL);
	close(ends[0]);
	log_to_fd(STDERR_FILENO);
	assert_int_equal(late, 0);
}

static void clock_goes_on(void **state)
{
	int64_t before = now_ms();
	(void)state;
	usleep(5000);
	assert_in_range(now_ms() - before, 4, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(form, new_file, close_file),
		cmocka_unit_test_setup_teardown(long_line, new_file, close_file),
		cmocka_unit_test_setup_teardown(burst, new_file, close_file),
		cmocka_unit_test_setup_teardown(threads, new_file, close_file),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(clock_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
