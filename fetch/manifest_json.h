/*
 * manifest_json - the parts of manifest parsing that work on JSON values
 */
#ifndef IMGFS_FETCH_MANIFEST_JSON_H
#define IMGFS_FETCH_MANIFEST_JSON_H

#include "fetch/json.h"
#include "fetch/manifest_priv.h"

/* document_kind - parse a document and decide what it is; errors as manifest_kind_of. The caller
 * owns *root. */
err_t document_kind(const struct document *doc, json_t **root, enum manifest_kind *out,
		    struct diag *d) must_check;

/* document_of_kind - the same, and -EBADMSG when it is of another kind. */
err_t document_of_kind(const struct document *doc, enum manifest_kind kind, json_t **root,
		       struct diag *d) must_check;

/* descriptor_parse - media type, digest and size (0..size_max) of a descriptor; -EBADMSG. */
err_t descriptor_parse(const json_t *object, uint64_t size_max, struct descriptor *out,
		       struct diag *d) must_check;

/* artifact_named - the digest in the annotation ARTIFACT_ANNOTATION of a manifest or descriptor;
 * unset when it is absent or no digest. */
void artifact_named(const json_t *object, struct digest *out);

/* annotations_copy - the texts of an object of annotations, as struct manifest has them; never
 * NULL.
 */
struct label *annotations_copy(const json_t *object);
void labels_free(struct label **labels);

/* digest_value - a required digest; -EBADMSG. */
err_t digest_value(const json_t *value, struct digest *out, struct diag *d) must_check;

#endif
