/*
 * serve - an image, mounted and served until it is unmounted: what `imgfs mount` and `imgfs run`
 * have in common
 */
#ifndef IMGFS_TOOLS_SERVE_H
#define IMGFS_TOOLS_SERVE_H

#include "fetch/content.h"
#include "fs/exporter.h"
#include "fs/mounts.h"
#include "fs/options.h"
#include "tools/cli.h"

struct serving;

struct serve_options {
	const char *mountpoint; /* canonical, checked */
	const char *fsname;	/* in the table of mounts; NULL: the reference */
	const struct mount_options *mount;
	const struct exporter_target *metrics; /* NULL: nobody takes any */
	struct content_options content;	       /* as read_options_take left them */
	/* Called once, when the tree can be read; calls serving_begin. An error ends the session,
	 * and is returned by serve_image. */
	err_t (*ready)(struct serving *s, void *arg, struct diag *d);
	void *arg;
};

/*
 * serve_image - mount, serve, unmount
 * @image   prepared
 * @record  where the record of the mount goes: mount_record_leave it when nothing of the image is
 *          open any more, for `imgfs umount` waits for that. May be set after an error, too.
 * Needs stop_install or another answer to SIGTERM. Returns when the mount has ended.
 */
err_t serve_image(const struct cli_image *image, const struct serve_options *options,
		  struct mount_record **record, struct diag *d) must_check;

/* serving_begin - nothing is to be printed from now on: fetch ahead what the last start needed, and
 * let go of memory that only the start needed. */
void serving_begin(struct serving *s);

/* serving_expect - a container with these words is started next (content_expect). */
void serving_expect(struct serving *s, char *const *words, const char *cwd);

/* descriptors_raise - the soft limit of open files to what the image with the most layers takes;
 * @before, if not NULL: what it was. */
struct rlimit;
void descriptors_raise(struct rlimit *before);

#endif
