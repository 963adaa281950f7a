/*
 * json - strict access to JSON documents from outside
 *
 * A document is accepted only as I-JSON (RFC 7493): no duplicate keys, valid UTF-8, integers within
 * int64. It is measured before the library sees it, so that a hostile one costs little memory.
 */
#ifndef IMGFS_FETCH_JSON_H
#define IMGFS_FETCH_JSON_H

#include <jansson.h>

#include "index/base.h"

#define JSON_DEPTH_MAX	32    /* manifests and configs need 6 */
#define JSON_VALUES_MAX 32768 /* 1024 descriptors of 32 values; bounds the tree to about 10 MiB */

/*
 * json_parse_object - the object that the whole text is
 * @out  the caller owns it (json_auto_t, json_decref)
 * -EBADMSG (ERR_INTEGRITY) for anything but one strict JSON object. Cost: linear in the text.
 */
err_t json_parse_object(struct bytes text, json_t **out, struct diag *d) must_check;

/*
 * Members of an object. Absent and null are the same: NULL, and 0 is returned. A member of another
 * type is -EBADMSG (ERR_INTEGRITY). What comes out is borrowed from the object.
 */
err_t json_member_string(const json_t *object, const char *key, const char **out,
			 struct diag *d) must_check;
err_t json_member_object(const json_t *object, const char *key, const json_t **out,
			 struct diag *d) must_check;
err_t json_member_array(const json_t *object, const char *key, const json_t **out,
			struct diag *d) must_check;

/* json_member_size - a required integer of 0..max; -EBADMSG for anything else. */
err_t json_member_size(const json_t *object, const char *key, uint64_t max, uint64_t *out,
		       struct diag *d) must_check;

/* json_member_set - whether a member is there and not null. */
bool json_member_set(const json_t *object, const char *key);

#endif
