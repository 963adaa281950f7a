/*
 * run_spec - a container's configuration as values, and as the config.json of an OCI runtime bundle
 * (runtime-spec 1.0.2)
 *
 * The values say what differs between containers; what all have in common (mounts below /proc, /sys
 * and /dev, what is hidden of them) the writer knows.
 */
#ifndef IMGFS_TOOLS_RUN_SPEC_H
#define IMGFS_TOOLS_RUN_SPEC_H

#include "tools/run_env.h"
#include "tools/run_user.h"

#include <stdio.h>

enum run_net {
	RUN_NET_HOST, /* the machine's network */
	RUN_NET_NONE, /* a loopback device of its own, and nothing else */
};

/* A file or directory of the host that is seen at a place in the container. */
struct run_bind {
	char *source, *target; /* absolute; owned */
	bool read_only;
};

/* A directory of the container in memory; see tools/run_tmpfs.h. */
struct run_tmpfs {
	char *target;	/* absolute; owned */
	char *options;	/* parted by commas; owned */
	bool in_volume; /* mounted behind the binds */
};

struct run_spec {
	char **args; /* of the process; not empty, NULL at the end; owned */
	struct run_env env;
	struct run_user user;
	char *cwd;		/* absolute; owned */
	char *hostname;		/* owned */
	char *reference;	/* what the container was made from, for an annotation; owned */
	char *stop_signal;	/* "SIGTERM"; owned */
	struct run_bind *binds; /* in order: a later one may lie on an earlier one; owned */
	size_t n_binds, binds_cap;
	struct run_tmpfs *tmpfs; /* in order; owned */
	size_t n_tmpfs, tmpfs_cap;
	uint64_t caps; /* see run_caps.h */
	enum run_net net;
	unsigned rows, columns; /* of that terminal; 0: not known */
	bool terminal;		/* the process gets a terminal of its own */
	bool read_only;		/* its root can not be written */
	bool privileged;	/* nothing hidden, /sys writable, all devices allowed */
	bool in_user_ns;	/* it will run inside a user namespace that exists already */
	bool groups_fixed;	/* setgroups(2) is not possible there */
	bool no_tty_group;	/* nor has it the group 5, to which terminals are given */
};

/* run_spec_bind - one more bind; takes both texts, allocated. */
void run_spec_bind(struct run_spec *spec, char *source, char *target, bool read_only);
/*
 * run_spec_check - whether config.json can say it: JSON holds text in UTF-8 only
 * -EINVAL (ERR_USAGE) names what it can not.
 */
err_t run_spec_check(const struct run_spec *spec, struct diag *d) must_check;
/* run_spec_write - config.json, for the root file system "rootfs" beside it. Write errors show in
 * ferror() of the stream. */
void run_spec_write(const struct run_spec *spec, FILE *out);
void run_spec_fini(struct run_spec *spec);

#endif
