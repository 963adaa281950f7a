/*
 * Everything is written to memory first, and appears under its name as a whole.
 */
#include "tools/run_bundle.h"

#include "tools/run_dir.h"

#include <string.h>

#define ETC_FILE_MAX (1u << 20) /* /etc/hosts of a machine that blocks advertisements with it */

static err_t show(const char *dir, const char *name, struct bytes text, struct run_spec *spec,
		  struct diag *d)
{
	char *path = xasprintf("%s/%s", dir, name);
	err_t err = run_file_write(path, text.p, text.n, d);
	if (err)
		free(path);
	else
		run_spec_bind(spec, path, xasprintf("/etc/%s", name), false);
	return err;
}

static err_t show_hosts(const char *dir, struct run_spec *spec, struct diag *d)
{
	auto_free char *own = xasprintf("127.0.0.1\t%s\n", spec->hostname);
	auto_buf struct buf text = {0};
	static const char loopback[] = "127.0.0.1\tlocalhost\n"
				       "::1\tlocalhost ip6-localhost ip6-loopback\n";
	err_t err = -ENOENT;
	if (spec->net == RUN_NET_HOST)
		err = read_file("/etc/hosts", ETC_FILE_MAX, &text);
	if (err || !text.n) {
		buf_fini(&text);
		text = (struct buf){0};
		err = buf_append(&text, loopback, strlen(loopback));
	}
	if (!err && text.p[text.n - 1] != '\n')
		err = buf_append(&text, "\n", 1);
	if (!err)
		err = buf_append(&text, own, strlen(own));
	if (err)
		return fail_sys(d, ERR_OTHER, err, "hosts");
	return show(dir, "hosts", buf_bytes(&text), spec, d);
}

err_t run_bundle_etc(const char *dir, struct run_spec *spec, struct diag *d)
{
	auto_free char *name = xasprintf("%s\n", spec->hostname);
	auto_buf struct buf resolver = {0};
	err_t err = show_hosts(dir, spec, d);
	if (!err)
		err = show(dir, "hostname", BYTES_STR(name), spec, d);
	if (!err && read_file("/etc/resolv.conf", ETC_FILE_MAX, &resolver) == 0)
		err = show(dir, "resolv.conf", buf_bytes(&resolver), spec, d);
	return err;
}

err_t run_bundle_write(const char *dir, const struct run_spec *spec, struct diag *d)
{
	auto_free char *path = xasprintf("%s/config.json", dir);
	char *text = NULL;
	size_t n = 0;
	err_t err = run_spec_check(spec, d);
	if (err)
		return err;
	FILE *memory = open_memstream(&text, &n);
	if (!memory)
		return fail_sys(d, ERR_OTHER, -errno, "config.json");
	run_spec_write(spec, memory);
	bool lost = ferror(memory);
	if (fclose(memory) || lost)
		err = fail(d, ERR_OTHER, -ENOMEM, "config.json: no memory");
	else
		err = run_file_write(path, text, n, d);
	free(text);
	return err;
}
