/*
 * Media types: one table says what each type that imgfs may meet is. The type of a layer is a hint
 * about its compression only (that is sniffed), so one class holds all of them.
 */
#include "fetch/manifest_priv.h"

#include <string.h>

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

static const struct {
	const char *type;
	enum media_class cls;
} media_types[] = {
	{"", MEDIA_UNSTATED},
	/* What servers of plain files say about anything. */
	{"application/json", MEDIA_UNSTATED},
	{"application/octet-stream", MEDIA_UNSTATED},
	{"text/plain", MEDIA_UNSTATED},
	{OCI "index.v1+json", MEDIA_INDEX},
	{DOCKER "distribution.manifest.list.v2+json", MEDIA_INDEX},
	{OCI "manifest.v1+json", MEDIA_IMAGE},
	{DOCKER "distribution.manifest.v2+json", MEDIA_IMAGE},
	{OCI "config.v1+json", MEDIA_CONFIG},
	{DOCKER "container.image.v1+json", MEDIA_CONFIG},
	{OCI "layer.v1.tar", MEDIA_LAYER},
	{OCI "layer.v1.tar+gzip", MEDIA_LAYER},
	{OCI "layer.v1.tar+zstd", MEDIA_LAYER},
	{OCI "layer.nondistributable.v1.tar", MEDIA_LAYER},
	{OCI "layer.nondistributable.v1.tar+gzip", MEDIA_LAYER},
	{OCI "layer.nondistributable.v1.tar+zstd", MEDIA_LAYER},
	{DOCKER "image.rootfs.diff.tar", MEDIA_LAYER},
	{DOCKER "image.rootfs.diff.tar.gzip", MEDIA_LAYER},
	{DOCKER "image.rootfs.diff.tar.zstd", MEDIA_LAYER},
	{DOCKER "image.rootfs.foreign.diff.tar", MEDIA_LAYER},
	{DOCKER "image.rootfs.foreign.diff.tar.gzip", MEDIA_LAYER},
	{DOCKER "distribution.manifest.v1+json", MEDIA_SCHEMA1},
	{DOCKER "distribution.manifest.v1+prettyjws", MEDIA_SCHEMA1},
};

enum media_class media_class_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(media_types); i++)
		if (!strcmp(type, media_types[i].type))
			return media_types[i].cls;
	size_t n = strlen(type), suffix = strlen("+encrypted");
	if (n > suffix && !strcmp(type + n - suffix, "+encrypted"))
		return MEDIA_ENCRYPTED;
	return MEDIA_OTHER;
}
