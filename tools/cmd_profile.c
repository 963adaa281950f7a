/*
 * imgfs profile: what a program reads first out of an image, recorded by mounts, looked at,
 * replaced and removed here.
 */
#include "fetch/image_profile.h"
#include "tools/cli.h"

#include <string.h>
#include <unistd.h>

static int fail_profile(const struct command *self, enum err_class cls, err_t err, const char *what)
{
	struct diag d = DIAG_INIT;
	(void)fail_sys(&d, cls, err, "%s", what);
	return cli_fail(self, &d);
}

static int run_show(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	struct diag d = DIAG_INIT;
	const char *reference;
	enum profile_origin origin;
	auto_buf struct buf text = {0};
	int status = cli_one_reference(self, argc, argv, NULL, &common, false, &reference);
	if (!status)
		status = cli_open_image(self, &common, reference, false, &ci);
	if (status)
		return status;
	err_t err = image_profile_get(ci.image, false, &text, &origin);
	if (err == -ENOENT) {
		(void)fail(&d, ERR_NOT_FOUND, err,
			   "%s has no profile; a mount from which a program was started records "
			   "one",
			   reference);
		status = cli_fail(self, &d);
	} else if (err) {
		status = fail_profile(self, ERR_OTHER, err, "the profile");
	} else {
		fwrite(text.p, 1, text.n, stdout);
		if (!common.quiet && origin != PROFILE_OWN)
			fprintf(stderr, "imgfs %s: this profile is %s\n", self->name,
				origin == PROFILE_PUBLISHED ? "published with the index"
							    : "of another image of the repository");
	}
	cli_close_image(&ci);
	return status;
}

/* "-" is standard input. */
static err_t read_text(const char *file, struct buf *text, struct diag *d)
{
	const char *path = strcmp(file, "-") ? file : "/dev/stdin";
	struct profile unused;
	err_t err = read_file(path, PROFILE_TEXT_MAX, text);
	if (err)
		return fail_sys(d, err == -ENOENT ? ERR_NOT_FOUND : ERR_OTHER, err, "%s", file);
	err = profile_read(NULL, buf_bytes(text), &unused, d);
	if (err)
		diag_prepend(d, "%s", file);
	else
		profile_fini(&unused);
	return err;
}

static int run_set(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	struct diag d = DIAG_INIT;
	char **operands;
	auto_buf struct buf text = {0};
	int n = cli_parse(self, argc, argv, NULL, &common, &operands);
	if (n != 2)
		return cli_usage_error(self, "expected REF and FILE, got %d operand%s", n,
				       n == 1 ? "" : "s");
	if (read_text(operands[1], &text, &d))
		return cli_fail(self, &d);
	int status = cli_open_image(self, &common, operands[0], false, &ci);
	if (status)
		return status;
	err_t err = image_profile_put(ci.image, buf_bytes(&text));
	if (err)
		status = fail_profile(self, ERR_STORE, err, "the profile can not be kept");
	cli_close_image(&ci);
	return status;
}

static int run_rm(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *reference;
	int status = cli_one_reference(self, argc, argv, NULL, &common, false, &reference);
	if (!status)
		status = cli_open_image(self, &common, reference, false, &ci);
	if (status)
		return status;
	image_profile_drop(ci.image);
	cli_close_image(&ci);
	return 0;
}

static const struct command profile_show = {
	.name = "profile show",
	.synopsis = "REF",
	.summary = "Print what a mount of the image would fetch before it is asked for",
	.details = "One line a range of a file, in the order in which they are fetched: OFFSET "
		   "LENGTH /PATH.",
	.examples = "imgfs profile show docker.io/library/python:3.12",
	.run = run_show,
};

static const struct command profile_set = {
	.name = "profile set",
	.synopsis = "REF FILE|-",
	.summary = "Replace the profile of an image by a text as 'imgfs profile show' prints it",
	.details =
		"A start that reads something else replaces it again, unless it was mounted with\n"
		"--no-profile, which replays nothing either.",
	.examples = "# what an application needs first, in the order in which it needs it\n"
		    "imgfs profile set docker.io/library/python:3.12 start.profile\n"
		    "# the profile of another image\n"
		    "imgfs profile show registry.example.com/app:1 | imgfs profile set "
		    "registry.example.com/app:2 -",
	.run = run_set,
};

static const struct command profile_rm = {
	.name = "profile rm",
	.synopsis = "REF",
	.summary = "Forget the profile of an image and of its repository",
	.details = "The next start from a mount records a new one.",
	.examples = "imgfs profile rm docker.io/library/python:3.12",
	.run = run_rm,
};

static const struct command *const commands[] = {&profile_show, &profile_set, &profile_rm, NULL};

static int run(const struct command *self, int argc, char **argv)
{
	return cli_dispatch(self, commands, argc, argv);
}

const struct command cmd_profile = {
	.name = "profile",
	.synopsis = "show|set|rm ...",
	.summary = "Look at what an image's start was seen to read, or replace it",
	.run = run,
};
