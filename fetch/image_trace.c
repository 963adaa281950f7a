/*
 * One trace an image, by the digest of its manifest. Whatever is wrong with one, it is not there:
 * errors are a word in the log.
 */
#include "fetch/image_trace.h"

#include "fetch/log.h"

#include <string.h>

static char *name_of(const struct image *image)
{
	char text[DIGEST_TEXT_MAX];
	return xasprintf("image %s", digest_text(&image->digest, text));
}

err_t image_trace_put(struct image *image, struct bytes file)
{
	auto_free char *name = name_of(image);
	auto_buf struct buf packed = {0};
	err_t err = trace_pack(file, &packed);
	return err ? err : store_trace_put(image->store, name, buf_bytes(&packed));
}

err_t image_trace_get(struct image *image, struct trace **out)
{
	auto_free char *name = name_of(image);
	auto_buf struct buf packed = {0}, file = {0};
	struct diag d = DIAG_INIT;
	err_t err = store_trace_get(image->store, name, &packed);
	if (err)
		return err;
	err = trace_unpack(buf_bytes(&packed), &file);
	if (!err)
		err = trace_parse(&file, out, &d);
	if (!err || err == -ENOMEM)
		return err;
	log_warn("trace.refused", "reason=\"%s\"", *d.text ? d.text : strerror(-err));
	return -ENOENT;
}
