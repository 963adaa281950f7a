/*
 * doctor - findings of `imgfs doctor`, shown as they are made: some take seconds
 *
 * A finding is one line, what was looked at and what was seen, and, where something is missing, a
 * second one that says what to do.
 */
#ifndef IMGFS_TOOLS_DOCTOR_H
#define IMGFS_TOOLS_DOCTOR_H

#include "tools/conf.h"
#include "tools/json_out.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARN, /* images can be mounted without it, if not all that there are */
	DOCTOR_FAIL, /* they can not, or not from registries, or, with a reference, not this one */
};

struct doctor {
	struct common_options common; /* the command line's and imgfs.conf's */
	bool is_root;
	bool quiet;		  /* only what is not well */
	bool mounts_only;	  /* what is looked at now matters to mounts alone */
	bool failed, failed_more; /* anything; and not a mount alone */
	unsigned n_warnings;
	struct json_out *json; /* NULL: text */
	bool colours;
	unsigned width; /* of the terminal; 0: lines are not broken */
};

/*
 * doctor_say - one finding
 * @name  what was looked at, a few letters that stay the same ("fusermount3")
 * @hint  what to do; NULL for DOCTOR_OK
 */
void doctor_say(struct doctor *doc, enum doctor_level level, const char *name, const char *hint,
		const char *fmt, ...) printf_like(5, 6);

/* doctor_error - a finding out of a diagnostic, whose text may bring its advice behind "; ".
 * @hint  the advice otherwise */
void doctor_error(struct doctor *doc, enum doctor_level level, const char *name,
		  const struct diag *d, const char *hint);

/* doctor_program - the path of a program in $PATH; the caller frees; NULL: there is none. */
char *doctor_program(const char *name);

/* doctor_kernel - the kernel, /dev/fuse, fusermount3, and whether a mount works. */
void doctor_kernel(struct doctor *doc);
/* doctor_system - what mounts can be used with: mount(8), overlays, containers. */
void doctor_system(struct doctor *doc);
/* doctor_files - imgfs.conf, trust files, store, runtime directory, mounts that are there. */
void doctor_files(struct doctor *doc, const struct diag *conf_error, const struct conf *conf);
/* doctor_network - certificates, credentials, proxies: files and environment, no connection. */
void doctor_network(struct doctor *doc);
/* doctor_reference - the way to one image, step by step, up to the first that fails. */
void doctor_reference(struct doctor *doc, const char *reference);

#endif
