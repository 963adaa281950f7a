/*
 * run_plan - what docker's and podman's options, together with an image's config, make of a
 * container
 *
 * `imgfs run` and `imgfs bundle` take these options. Nothing is mounted or started here.
 */
#ifndef IMGFS_TOOLS_RUN_PLAN_H
#define IMGFS_TOOLS_RUN_PLAN_H

#include "tools/cli.h"
#include "tools/run_spec.h"

#define RUN_PLAN_ROWS 16 /* that run_plan_rows gives */

struct run_options {
	struct option_texts volumes;   /* -v SRC:DST[:ro] */
	struct option_texts tmpfs;     /* --tmpfs DIR[:OPTIONS] */
	struct option_texts env;       /* -e NAME[=VALUE] */
	struct option_texts env_files; /* --env-file FILE */
	struct option_texts cap_add, cap_drop;
	const char *workdir;	/* -w DIR */
	const char *user;	/* -u USER[:GROUP] */
	const char *entrypoint; /* --entrypoint PROGRAM; "" removes the image's */
	const char *net;	/* --network host|none */
	const char *name;	/* --name NAME */
	const char *hostname;	/* --hostname NAME */
	bool terminal;		/* -t */
	bool read_only;		/* --read-only */
	bool privileged;	/* --privileged */
};

/* run_plan_rows - the options as rows for cli_parse, appended; the number of them. */
size_t run_plan_rows(struct run_options *o, struct option_row *rows);

/*
 * run_plan_check - what can be seen to be wrong before an image is looked at
 * -EINVAL (ERR_USAGE): names, -w, --network, --tmpfs.
 */
err_t run_plan_check(const struct run_options *o, struct diag *d) must_check;

/*
 * run_plan_make - everything but the user and the volumes
 * @words     what follows REF on the command line, ended by NULL: takes the place of the image's
 *            "Cmd"
 * @hostname  where no option names one
 * Errors: no command at all (ERR_USAGE), an environment file that can not be read. The spec is to
 * be freed with run_spec_fini after an error too.
 */
err_t run_plan_make(const struct run_options *o, const struct image_config *config,
		    char *const *words, const char *hostname, struct run_spec *out,
		    struct diag *d) must_check;

/* run_plan_volumes - a bind for each -v, a tmpfs for each --tmpfs, and with --read-only the usual
 * ones; ERR_USAGE, or ERR_NOT_FOUND for a source that is not here. */
err_t run_plan_volumes(const struct run_options *o, struct run_spec *spec,
		       struct diag *d) must_check;

/* run_plan_user - who, by the contents of the two files (see run_user_resolve); also HOME. */
err_t run_plan_user(const struct run_options *o, const struct image_config *config,
		    struct bytes passwd, struct bytes group, struct run_spec *spec,
		    struct diag *d) must_check;

/* run_signal_parse - "SIGTERM", "TERM", "15", "SIGRTMIN+3" as a number, 0: none of these. */
int run_signal_parse(const char *text);

#endif
