/*
 * exporter - a mount's metrics for others to take: a file that is written again and again, or a
 * page on a socket
 */
#ifndef IMGFS_FS_EXPORTER_H
#define IMGFS_FS_EXPORTER_H

#include "fs/mounts.h"

#define EXPORTER_FILE_S 15 /* between two writings of the file */

enum exporter_kind {
	EXPORTER_FILE, /* "metrics.prom", "/dir/metrics.prom" */
	EXPORTER_TCP,  /* "127.0.0.1:9100", "[::1]:9100", ":9100" (127.0.0.1), "*:9100" (everybody)
			*/
	EXPORTER_UNIX, /* "unix:/run/imgfs.sock" */
};

/* Where to, as it was said. */
struct exporter_target {
	enum exporter_kind kind;
	char *path; /* of a file or socket; owned */
	char *host; /* numbers; "" is every address; owned */
	uint16_t port;
};

/* exporter_target_parse - what has a slash is a file, what ends in a colon and a port an address.
 * -EINVAL (ERR_USAGE). Free with exporter_target_fini also after an error. */
err_t exporter_target_parse(const char *text, struct exporter_target *out,
			    struct diag *d) must_check;
void exporter_target_fini(struct exporter_target *t);

struct exporter;

/*
 * exporter_open - bind the socket, or find the directory of the file; no thread yet
 * @mountpoint  canonical: what lies below it can not be written, and is refused
 * A socket file that nobody listens at is replaced. -EINVAL, -EADDRINUSE, -EACCES, -errno.
 */
err_t exporter_open(const struct exporter_target *target, const char *mountpoint,
		    struct exporter **out, struct diag *d) must_check;

/* exporter_start - begin to export a record that is shown (mount_record_show), and which must
 * outlive the exporter; the file is there when it returns. -errno. Starts a thread, which sleeps
 * while nobody asks. */
err_t exporter_start(struct exporter *e, const struct mount_record *record,
		     struct diag *d) must_check;

/* exporter_stop - remove the file or the socket. Joins the thread. */
void exporter_stop(struct exporter **e);

#endif
