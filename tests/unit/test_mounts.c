/*
 * test_mounts - records of mounts: listed while somebody holds them, removed when nobody does, and
 * never believed when they are not ours
 */
#include "fs/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char runtime[] = "/tmp/imgfs-mounts.XXXXXX";
static const struct mounted device = {.dev_major = 0, .dev_minor = 4711, .is_imgfs = true};

static int make_runtime(void **state)
{
	(void)state;
	strcpy(runtime + strlen(runtime) - 6, "XXXXXX");
	return !mkdtemp(runtime) || setenv("IMGFS_RUNTIME_DIR", runtime, 1);
}

static char *mounts_path(const char *name)
{
	return xasprintf("%s/mounts%s%s", runtime, *name ? "/" : "", name);
}

/* Names in the runtime directory; -1 when there is none. */
static int count_files(void)
{
	auto_free char *path = mounts_path("");
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int n = 0;
	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static int remove_runtime(void **state)
{
	auto_free char *command = xasprintf("rm -rf '%s'", runtime);
	(void)state;
	return system(command);
}

static struct mount_record *record_of(const char *mountpoint, bool show)
{
	struct mount_info info = {.mountpoint = mountpoint,
				  .reference = "localhost:5000/app:1",
				  .manifest = "sha256:00",
				  .store = "/var/lib/imgfs"};
	struct mount_record *r = NULL;
	struct diag d = DIAG_INIT;
	if (mount_record_new(&info, &r, &d) || (show && mount_record_show(r, &device, &d)))
		fail_msg("%s", d.text);
	return r;
}

static size_t count_listed(void)
{
	struct mount_list list;
	assert_int_equal(mounts_list(&list, NULL), 0);
	size_t n = list.n;
	mount_list_fini(&list);
	return n;
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(count_listed(), 0);
	assert_int_equal(count_files(), -1); /* looking makes nothing */
}

static void test_one(void **state)
{
	struct mount_record *r = record_of("/mnt/a", true);
	struct mount_list list;
	(void)state;
	counters_upcall(mount_record_counters(r), 1);
	assert_int_equal(mounts_list(&list, NULL), 0);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.rows[0].mountpoint, "/mnt/a");
	assert_string_equal(list.rows[0].reference, "localhost:5000/app:1");
	assert_string_equal(list.rows[0].manifest, "sha256:00");
	assert_string_equal(list.rows[0].store, "/var/lib/imgfs");
	assert_int_equal(list.rows[0].pid, getpid());
	assert_int_equal(list.rows[0].mounted.dev_minor, 4711);
	assert_in_range(time(NULL) - list.rows[0].started_at, 0, 60);
	assert_int_equal(list.rows[0].counters.upcalls_total, 1);
	mount_list_fini(&list);
	mount_record_free(&r);
	assert_null(r);
	assert_int_equal(count_files(), 0);
}

/* What a daemon counts by layer, and of a blob that is listed twice, once. */
static void test_layers(void **state)
{
	const struct mount_info_layer layers[] = {
		{{.alg = DIGEST_SHA256, .b = {1}}, 1000},
		{{.alg = DIGEST_SHA256, .b = {2}}, 50},
		{{.alg = DIGEST_SHA256, .b = {1}}, 1000},
	};
	const struct mount_info info = {.mountpoint = "/mnt/a",
					.reference = "a",
					.manifest = "",
					.store = "/store",
					.n_layers = ARRAY_LEN(layers),
					.layers = layers,
					.tree = "/store/tree"};
	struct mount_record *r = NULL;
	struct mount_list list;
	struct mount_row own;
	(void)state;
	assert_int_equal(mount_record_new(&info, &r, NULL), 0);
	assert_int_equal(mount_record_show(r, &device, NULL), 0);
	struct board *board = mount_record_board(r);
	board_count(&board->layers[0].fetched_bytes, 300);
	atomic_store(&board->layers[1].n_chunks, 3);
	atomic_store(&board->layers[1].n_stored, 4);
	board_failed(board, 1, "no answer");
	assert_int_equal(mounts_list(&list, NULL), 0);
	const struct mount_row *row = &list.rows[0];
	assert_int_equal(row->size, 1050);
	assert_string_equal(row->tree, "/store/tree");
	assert_int_equal(row->n_layers, 3);
	assert_int_equal(row->layers[0].same_as, 0);
	assert_int_equal(row->layers[1].same_as, 1);
	assert_int_equal(row->layers[2].same_as, 0);
	assert_int_equal(row->layers[2].fetched_bytes, 300);
	assert_int_equal(row->layers[1].n_stored, 3); /* never more than there are */
	assert_non_null(strstr(row->layers[1].digest, "sha256:02"));
	assert_string_equal(row->board.failed[0].text, "no answer");
	mount_record_row(r, &own);
	assert_int_equal(own.size, row->size);
	assert_string_equal(own.layers[2].digest, row->layers[2].digest);
	mount_row_fini(&own);
	mount_list_fini(&list);
	mount_record_free(&r);
}

static void test_not_listed_before_it_is_shown(void **state)
{
	struct mount_record *r = record_of("/mnt/a", false);
	(void)state;
	assert_int_equal(count_listed(), 0);
	assert_int_equal(count_files(), 1); /* but not taken for stale */
	mount_record_free(&r);
	assert_int_equal(count_files(), 0);
}

/* A store into a hole of a full disk would be SIGBUS. */
static void test_full_disk(void **state)
{
	(void)state;
	if (geteuid() != 0 || mount("none", runtime, "tmpfs", 0, "size=4k,mode=700"))
		skip();
	struct mount_info info = {
		.mountpoint = "/mnt/a", .reference = "a", .manifest = "", .store = ""};
	struct mount_record *r = NULL;
	struct diag d = DIAG_INIT;
	err_t err = mount_record_new(&info, &r, &d);
	int n = count_files();
	assert_int_equal(umount2(runtime, MNT_DETACH), 0);
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(d.text, runtime));
	assert_null(r);
	assert_int_equal(n, 0);
}

static void test_order(void **state)
{
	struct mount_record *b = record_of("/mnt/b", true), *a = record_of("/mnt/a", true);
	struct mount_list list;
	(void)state;
	assert_int_equal(mounts_list(&list, NULL), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.rows[0].mountpoint, "/mnt/a");
	assert_string_equal(list.rows[1].mountpoint, "/mnt/b");
	mount_list_fini(&list);
	mount_record_free(&a);
	mount_record_free(&b);
}

/* A process that has made a record, and says so; it leaves it at SIGUSR1 and lives until it is
 * killed. */
static pid_t start_daemon(const char *mountpoint, bool show)
{
	int ends[2];
	char byte;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct mount_record *r = record_of(mountpoint, show);
		sigset_t leave;
		int number;
		sigemptyset(&leave);
		sigaddset(&leave, SIGUSR1);
		sigprocmask(SIG_BLOCK, &leave, NULL);
		if (write(ends[1], "x", 1) == 1)
			sigwait(&leave, &number);
		mount_record_leave(&r);
		pause();
		_exit(1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static void kill_daemon(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_killed(void **state)
{
	pid_t pid = start_daemon("/mnt/a", true);
	int found = 0, fd;
	(void)state;
	assert_int_equal(count_listed(), 1);
	fd = mounts_find(&device, &found);
	assert_true(fd >= 0);
	assert_int_equal(found, pid);
	assert_int_equal(mounts_wait_gone(fd, 20), -ETIMEDOUT);
	kill_daemon(pid);
	assert_int_equal(mounts_wait_gone(fd, 0), 0);
	close(fd);
	assert_int_equal(count_files(), 1);
	assert_int_equal(mounts_find(&device, &found), -ENOENT);
	assert_int_equal(count_files(), 0);
}

/* Killed between its record and its mount: swept away too, when it is old. */
static void test_killed_before_it_was_shown(void **state)
{
	pid_t pid = start_daemon("/mnt/a", false);
	auto_free char *path = mounts_path("");
	(void)state;
	kill_daemon(pid);
	mounts_clean();
	assert_int_equal(count_files(), 1);
	DIR *dir = opendir(path);
	const struct dirent *entry;
	const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == '.' && strlen(entry->d_name) > 2)
			assert_int_equal(utimensat(dirfd(dir), entry->d_name, old, 0), 0);
	closedir(dir);
	mounts_clean();
	assert_int_equal(count_files(), 0);
}

static void test_finding_another_mount(void **state)
{
	struct mount_record *r = record_of("/mnt/a", true);
	struct mounted other = {.dev_minor = 4712};
	int found = 0;
	(void)state;
	assert_int_equal(mounts_find(&other, &found), -ENOENT);
	mount_record_free(&r);
}

/* The file goes first, the lock with the process. */
static void test_leaving(void **state)
{
	pid_t pid = start_daemon("/mnt/a", true);
	int found = 0, fd = mounts_find(&device, &found);
	(void)state;
	kill(pid, SIGUSR1);
	while (count_files())
		usleep(1000);
	assert_int_equal(count_listed(), 0);
	assert_int_equal(mounts_wait_gone(fd, 20), -ETIMEDOUT);
	kill_daemon(pid);
	assert_int_equal(mounts_wait_gone(fd, 0), 0);
	close(fd);
}

/* Two who look at the same time must not take each other for the daemon. */
static void test_two_lookers(void **state)
{
	pid_t pid = start_daemon("/mnt/a", true);
	auto_free char *dir_path = mounts_path("");
	DIR *dir = opendir(dir_path);
	const struct dirent *entry;
	int fd = -1;
	(void)state;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
	closedir(dir);
	kill_daemon(pid);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(count_listed(), 0);
	assert_int_equal(count_files(), 0);
	close(fd);
}

/* Write a file with a lock on it, as a daemon would. */
static int put_locked(const char *name, const void *p, size_t n)
{
	auto_free char *path = mounts_path(name);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(write_all(fd, p, n), 0);
	return fd;
}

static void test_files_that_are_no_records(void **state)
{
	struct mount_record *r = record_of("/mnt/a", true);
	size_t len = 0;
	uint8_t *copy = NULL;
	auto_free char *dir_path = mounts_path("");
	DIR *dir = opendir(dir_path);
	const struct dirent *entry;
	(void)state;
	while ((entry = readdir(dir))) {
		struct stat st;
		if (entry->d_name[0] == '.')
			continue;
		auto_fd int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
		assert_int_equal(fstat(fd, &st), 0);
		len = (size_t)st.st_size;
		copy = xcalloc(1, len);
		assert_int_equal(read_at(fd, copy, len, 0), 0);
	}
	closedir(dir);
	int same = put_locked("same", copy, len);
	assert_int_equal(count_listed(), 2);
	int small = put_locked("small", copy, len - 1), empty = put_locked("empty", copy, 0);
	copy[0] ^= 1;
	int magic = put_locked("magic", copy, len);
	copy[0] ^= 1;
	copy[8] ^= 1;
	int version = put_locked("version", copy, len);
	copy[8] ^= 1;
	memset(copy + 32, 'x', 3 * 4096); /* texts without an end */
	int endless = put_locked("endless", copy, len);
	assert_int_equal(count_listed(), 2);
	const int fds[] = {same, small, empty, magic, version, endless};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	assert_int_equal(count_listed(), 1); /* and nobody holds them any more */
	assert_int_equal(count_files(), 1);
	free(copy);
	mount_record_free(&r);
}

static void test_directories_of_others(void **state)
{
	struct mount_record *r = record_of("/mnt/a", true);
	struct mount_info info = {
		.mountpoint = "/mnt/b", .reference = "x", .manifest = "x", .store = "x"};
	struct mount_list list;
	struct diag d = DIAG_INIT;
	auto_free char *path = mounts_path("");
	(void)state;
	mount_record_free(&r);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(mount_record_new(&info, &r, &d), -EPERM);
	assert_null(r);
	assert_non_null(strstr(d.text, runtime));
	assert_int_equal(mounts_list(&list, &d), -EPERM);
	mount_list_fini(&list);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_not_equal(mount_record_new(&info, &r, &d), 0);
	assert_null(r);
}

static void test_texts_that_are_too_long(void **state)
{
	char *text = xcalloc(1, 5000);
	struct mount_record *r = NULL;
	(void)state;
	memset(text, 'a', 4999);
	struct mount_info info = {
		.mountpoint = text, .reference = "x", .manifest = "x", .store = "x"};
	assert_int_equal(mount_record_new(&info, &r, NULL), -ENAMETOOLONG);
	assert_null(r);
	assert_int_equal(count_files(), 0);
	free(text);
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, make_runtime, remove_runtime)

/* A trace comes and goes with its record, and is no record itself. */
static void test_traces(void **state)
{
	(void)state;
	struct mount_list list;
	struct diag d = DIAG_INIT;
	auto_buf struct buf copy = {0}, none = {0};
	struct mount_record *r = record_of("/mnt/traced", false),
			    *plain = record_of("/plain", true);
	int fd = mount_record_trace(r);
	assert_true(fd > 0);
	assert_int_equal(count_files(), 3);
	assert_int_equal(mount_record_show(r, &device, &d), 0);
	assert_int_equal(write_all(fd, "what was read", 13), 0);
	assert_int_equal(mounts_list(&list, NULL), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(mounts_trace_read(&list.rows[0], &copy), 0);
	assert_true(bytes_equal_str(buf_bytes(&copy), "what was read"));
	assert_int_equal(mounts_trace_read(&list.rows[1], &none), -ENOENT);
	/* Larger than any: made by somebody else. */
	assert_int_equal(ftruncate(fd, (16 << 20)), 0);
	assert_int_equal(mounts_trace_read(&list.rows[0], &none), -E2BIG);
	mount_record_free(&r);
	assert_int_equal(count_files(), 1);
	assert_int_equal(mounts_trace_read(&list.rows[0], &none), -ENOENT);
	mount_record_leave(&plain);
	assert_int_equal(count_files(), 0);
	mount_list_fini(&list);
}

/* Nobody locks it any more: who looks removes it. */
static void test_trace_of_the_dead(void **state)
{
	(void)state;
	struct mount_record *r = record_of("/alive", true);
	auto_free char *path = mounts_path("0123456789abcdef.trace");
	auto_fd int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(count_files(), 2);
	assert_int_equal(count_listed(), 1);
	assert_int_equal(count_files(), 1);
	mount_record_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_nothing),
		case_of(test_one),
		case_of(test_layers),
		case_of(test_not_listed_before_it_is_shown),
		case_of(test_full_disk),
		case_of(test_order),
		case_of(test_killed),
		case_of(test_killed_before_it_was_shown),
		case_of(test_finding_another_mount),
		case_of(test_leaving),
		case_of(test_two_lookers),
		case_of(test_files_that_are_no_records),
		case_of(test_directories_of_others),
		case_of(test_texts_that_are_too_long),
		case_of(test_traces),
		case_of(test_trace_of_the_dead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
