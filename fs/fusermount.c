/*
 * fusermount - a helper that prints its errors, and how they become ours
 *
 * fusermount3 says what is wrong on standard error only, and libfuse starts it with ours. Its words
 * are collected in a memory file, so that the command ends with one line and not with three.
 */
#include "fs/fusermount.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 8

extern char **environ;

static void first_line(int fd, char said[FUSERMOUNT_TEXT_MAX])
{
	ssize_t n = pread(fd, said, FUSERMOUNT_TEXT_MAX - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

static err_t wait_for_exit(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

err_t fusermount(const char *const *words, char said[FUSERMOUNT_TEXT_MAX])
{
	char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "fusermount3"};
	posix_spawn_file_actions_t actions;
	auto_fd int output = -1;
	size_t n = 1;
	pid_t pid;
	int err;

	said[0] = '\0';
	for (; *words; words++) {
		BUG_ON(n + 1 >= ARGUMENTS_MAX);
		argv[n++] = (char *)(uintptr_t)*words;
	}
	output = memfd_create("fusermount3", MFD_CLOEXEC);
	if (output < 0)
		return -errno;
	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	err = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (!err)
		err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	err = wait_for_exit(pid);
	first_line(output, said);
	return err;
}

struct stderr_capture stderr_capture(void)
{
	struct stderr_capture capture = {.saved = -1, .memory = -1};

	capture.memory = memfd_create("stderr", MFD_CLOEXEC);
	if (capture.memory < 0)
		return capture;
	capture.saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (capture.saved < 0 || dup2(capture.memory, STDERR_FILENO) < 0) {
		cleanup_fd(&capture.saved);
		cleanup_fd(&capture.memory);
		return (struct stderr_capture){.saved = -1, .memory = -1};
	}
	return capture;
}

void stderr_release(struct stderr_capture *capture, char said[FUSERMOUNT_TEXT_MAX])
{
	said[0] = '\0';
	if (capture->saved < 0)
		return;
	dup2(capture->saved, STDERR_FILENO);
	first_line(capture->memory, said);
	cleanup_fd(&capture->saved);
	cleanup_fd(&capture->memory);
}

void fusermount_print_libfuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	char text[FUSERMOUNT_TEXT_MAX];

	(void)level;
	vsnprintf(text, sizeof(text), fmt, args);
	dprintf(STDERR_FILENO, "%s", text);
}
