/*
 * imgfs bundle: what `imgfs run` would give to an OCI runtime, as a folder for others to use: for
 * runc or crun by hand, for a service, or to be changed first.
 *
 * The folder has the layout that the printed lines need: image/ is where imgfs mounts, rootfs/
 * where the overlay does, upper/ and work/ are its top.
 */
#include "fetch/content.h"
#include "tools/cli.h"
#include "tools/run_bundle.h"
#include "tools/run_plan.h"
#include "tools/run_process.h"
#include "tools/run_top.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_ROWS (RUN_PLAN_ROWS + 2)
#define WORDS_MAX   64

struct bundle_command {
	const struct command *self;
	struct common_options common;
	struct run_options options;
	const char *reference;
	char *dir; /* canonical; owned */
	char *const *words;
	bool mount;
	struct cli_image ci;
	struct run_spec spec;
	struct run_top top;
	char *expanded; /* the reference */
};

/* ---- what the image says ---- */

/* A file of the image; empty when it is none. */
static err_t read_image_file(struct image *image, struct content *content, const char *path,
			     struct buf *out, struct diag *d)
{
	struct inode inode;
	uint32_t row;
	if (index_path(image->tree, BYTES_STR(path), true, &row))
		return 0;
	index_inode(image->tree, row, &inode);
	if (!S_ISREG(inode.mode) || !inode.size)
		return 0;
	if (inode.size > RUN_USER_FILE_MAX)
		return fail(d, ERR_UNSUPPORTED, -E2BIG, "%s of the image is too large", path);
	err_t err = buf_append_zeros(out, (size_t)inode.size);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "%s of the image", path);
	err = content_read(content, row, 0, out->p, out->n, d);
	if (err)
		diag_prepend(d, "%s of the image", path);
	return err;
}

static err_t find_user(struct bundle_command *b, struct diag *d)
{
	const struct content_options options = {0};
	struct image *image = b->ci.image;
	struct content *content;
	auto_buf struct buf passwd = {0};
	auto_buf struct buf group = {0};
	err_t err = content_new(image, &options, &content, d);
	if (err)
		return err;
	err = read_image_file(image, content, "/etc/passwd", &passwd, d);
	if (!err)
		err = read_image_file(image, content, "/etc/group", &group, d);
	content_free(&content);
	return err ? err
		   : run_plan_user(&b->options, &image->config, buf_bytes(&passwd),
				   buf_bytes(&group), &b->spec, d);
}

/* ---- the folder ---- */

static err_t make_dir(const char *typed, char **out, struct diag *d)
{
	if (mkdir(typed, 0755) && errno != EEXIST)
		return fail_sys(d, ERR_OTHER, -errno, "%s", typed);
	*out = realpath(typed, NULL);
	if (!*out)
		return fail_sys(d, ERR_OTHER, -errno, "%s", typed);
	auto_free char *config = xasprintf("%s/config.json", *out);
	if (access(config, F_OK) == 0)
		return fail(d, ERR_OTHER, -EEXIST, "%s is a bundle already; use another folder",
			    typed);
	return 0;
}

static err_t make_parts(struct bundle_command *b, struct diag *d)
{
	static const char *const names[] = {"image", "rootfs"};
	char digest[DIGEST_TEXT_MAX];
	err_t err = 0;
	for (size_t i = 0; !err && i < ARRAY_LEN(names); i++) {
		auto_free char *path = xasprintf("%s/%s", b->dir, names[i]);
		if (mkdir(path, 0755) && errno != EEXIST)
			err = fail_sys(d, ERR_OTHER, -errno, "%s", path);
	}
	return err ? err
		   : run_top_open(b->dir, false, digest_text(&b->ci.image->digest, digest),
				  b->ci.image->tree, &b->top, d);
}

static err_t write_bundle(struct bundle_command *b, struct diag *d)
{
	err_t err =
		run_plan_make(&b->options, &b->ci.image->config, b->words, "imgfs", &b->spec, d);
	free(b->spec.reference);
	b->spec.reference = xstrdup(b->expanded);
	if (!err)
		err = make_parts(b, d);
	if (!err)
		err = find_user(b, d);
	if (!err)
		err = run_bundle_etc(b->dir, &b->spec, d);
	if (!err)
		err = run_plan_volumes(&b->options, &b->spec, d);
	return err ? err : run_bundle_write(b->dir, &b->spec, d);
}

/* ---- the mounts ---- */

struct words {
	const char *list[WORDS_MAX];
	size_t n;
};

static void add_option(struct words *w, const char *name, const char *value)
{
	if (!value || w->n + 3 >= WORDS_MAX)
		return;
	w->list[w->n++] = name;
	w->list[w->n++] = value;
}

/* `imgfs mount` with the options that this command was given. */
static void mount_words(const struct bundle_command *b, const char *program, const char *image,
			struct words *w)
{
	const struct common_options *c = &b->common;
	*w = (struct words){.list = {program, "mount"}, .n = 2};
	add_option(w, "--store", c->store);
	add_option(w, "--platform", c->platform);
	add_option(w, "--authfile", c->authfile);
	add_option(w, "--token-host", c->token_host);
	add_option(w, "--index", c->index);
	for (size_t i = 0; i < c->trust_keys.n; i++)
		add_option(w, "--trust-key", c->trust_keys.texts[i]);
	add_option(w, "--trust-index", c->trust_index);
	add_option(w, "--trust-file", c->trust_file);
	if (c->plain_http)
		w->list[w->n++] = "--plain-http";
	w->list[w->n++] = b->expanded;
	w->list[w->n++] = image;
	w->list[w->n] = NULL;
}

static void print_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:@=,+%";
	if (*word && !word[strspn(word, plain)]) {
		printf(" %s", word);
		return;
	}
	printf(" '");
	for (; *word; word++)
		printf(*word == '\'' ? "'\\''" : "%c", *word);
	printf("'");
}

static void print_line(const char *const *words)
{
	printf("%s", *words);
	while (*++words)
		print_word(*words);
	printf("\n");
}

static void print_lines(const struct bundle_command *b, const char *image)
{
	auto_free char *rootfs = xasprintf("%s/rootfs", b->dir);
	const char *name = b->options.name ? b->options.name : "NAME";
	struct words w;
	mount_words(b, "imgfs", image, &w);
	if (!b->mount) {
		print_line(w.list);
		print_line((const char *[]){"cd", b->dir, NULL});
		printf("mount -t overlay -o lowerdir=image,upperdir=upper,workdir=work overlay "
		       "rootfs\n");
	}
	print_line((const char *[]){"runc", "run", "-b", b->dir, name, NULL});
	printf("# and when it has ended:\n");
	print_line((const char *[]){"umount", rootfs, NULL});
	print_line((const char *[]){"imgfs", "umount", image, NULL});
}

static int mount_both(struct bundle_command *b, const char *image)
{
	auto_free char *rootfs = xasprintf("%s/rootfs", b->dir);
	struct diag d = DIAG_INIT;
	struct words w;
	mount_words(b, "/proc/self/exe", image, &w);
	int status = process_run(w.list);
	if (status < 0) {
		(void)fail_sys(&d, ERR_OTHER, status, "imgfs mount");
		return cli_fail(b->self, &d);
	}
	if (status)
		return status;
	if (!run_top_mount(&b->top, b->ci.image->tree, image, rootfs, b->options.privileged, false,
			   &d))
		return 0;
	status = cli_fail(b->self, &d);
	process_run((const char *const[]){"/proc/self/exe", "umount", image, NULL});
	return status;
}

/* ---- the command ---- */

static int make_bundle(struct bundle_command *b)
{
	struct diag d = DIAG_INIT;
	int status = cli_open_image(b->self, &b->common, b->reference, true, &b->ci);
	if (status)
		return status;
	b->expanded = ref_text(&b->ci.image->ref);
	auto_free char *image = xasprintf("%s/image", b->dir);
	if (write_bundle(b, &d))
		status = cli_fail(b->self, &d);
	if (!status && b->mount)
		status = mount_both(b, image);
	if (!status && !b->common.quiet)
		print_lines(b, image);
	run_top_close(&b->top);
	run_spec_fini(&b->spec);
	cli_close_image(&b->ci);
	free(b->expanded);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct bundle_command b = {.self = self, .top = {.fd = -1}};
	struct option_row rows[BUNDLE_ROWS] = {
		{0, "mount", OPT_FLAG, &b.mount, NULL,
		 "mount the image and its overlay, too (root)"},
	};
	struct diag d = DIAG_INIT;
	char **operands;
	run_plan_rows(&b.options, rows + 1);
	int n = cli_parse(self, argc, argv, rows, &b.common, &operands);
	if (n < 2)
		return cli_usage_error(self, n ? "DIR is missing" : "REF and DIR are missing");
	if (b.mount && geteuid() != 0)
		return cli_usage_error(self, "--mount takes root; 'imgfs run' does not");
	b.reference = operands[0];
	b.words = operands + 2;
	if (*b.words && !strcmp(*b.words, "--"))
		b.words++;
	err_t err = run_plan_check(&b.options, &d);
	if (!err)
		err = make_dir(operands[1], &b.dir, &d);
	int status = err ? cli_fail(self, &d) : make_bundle(&b);
	free(b.dir);
	return status;
}

const struct command cmd_bundle = {
	.name = "bundle",
	.synopsis = "[--mount] [-e NAME=VALUE] ... REF DIR [COMMAND [ARGUMENT...]]",
	.summary = "Write an OCI runtime bundle for an image",
	.details = "DIR/config.json says how an OCI runtime (runc, crun) runs COMMAND, or what the "
		   "image\n"
		   "names. The lines that are printed mount the image at DIR/image and a writable "
		   "overlay at\n"
		   "DIR/rootfs, and run the container; --mount does the first part at once.\n\n"
		   "Options stand before REF: what follows DIR belongs to the command.",
	.examples =
		"# a bundle that can be run at once\n"
		"imgfs bundle --mount docker.io/library/debian ./bundle sleep 60\n"
		"runc run -b ./bundle box\n"
		"# what a container of this image would get\n"
		"imgfs bundle -q docker.io/library/debian ./bundle && jq . ./bundle/config.json",
	.options_first = true,
	.run = run,
};
