/*
 * Image indexes: the list of an index as plain entries, and the choice of the one that serves a
 * platform best. An index also lists what is no image: attestations, signatures, SOCI indexes that
 * carry the platform of their image. Those never take part in the choice.
 */
#include "fetch/manifest_json.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LISTED_MAX 16 /* platforms or names in an error text */

/* The entry's platform; *out stays empty when it states none. */
static err_t entry_platform(const json_t *object, struct platform *out, struct diag *d)
{
	const json_t *platform;
	const char *os = NULL, *arch = NULL, *variant = NULL;
	err_t err = json_member_object(object, "platform", &platform, d);
	if (err || !platform)
		return err;
	if ((err = json_member_string(platform, "os", &os, d)) ||
	    (err = json_member_string(platform, "architecture", &arch, d)) ||
	    (err = json_member_string(platform, "variant", &variant, d)))
		return err;
	/* A platform that can not be written here is one that no one wants. */
	if (!os || !arch || !platform_set(out, os, arch, variant))
		*out = (struct platform){"unknown", "unknown", ""};
	return 0;
}

static err_t entry_annotations(const json_t *object, struct index_entry *out, bool *attestation,
			       struct diag *d)
{
	const json_t *annotations;
	const char *reference_type, *name;
	err_t err = json_member_object(object, "annotations", &annotations, d);
	if (err || !annotations)
		return err;
	if ((err = json_member_string(annotations, "vnd.docker.reference.type", &reference_type,
				      d)) ||
	    (err = json_member_string(annotations, "org.opencontainers.image.ref.name", &name, d)))
		return err;
	*attestation = reference_type != NULL;
	out->ref_name = name ? xstrdup(name) : NULL;
	return 0;
}

static err_t entry_parse(const json_t *object, struct index_entry *out, struct diag *d)
{
	bool attestation = false;
	const char *type = NULL, *artifact = NULL;
	err_t err = 0;
	if (!json_is_object(object))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the descriptor is not an object");
	if ((err = json_member_string(object, "mediaType", &type, d)) ||
	    (err = json_member_string(object, "artifactType", &artifact, d)) ||
	    (err = entry_platform(object, &out->platform, d)) ||
	    (err = entry_annotations(object, out, &attestation, d)))
		return err;
	enum media_class cls = media_class_of(type ? type : "");
	out->is_image = (cls == MEDIA_INDEX || cls == MEDIA_IMAGE || cls == MEDIA_UNSTATED) &&
			!attestation && !(artifact && artifact[0]) &&
			strcmp(out->platform.os, "unknown");
	if (!out->is_image)
		return 0;
	err = descriptor_parse(object, DOCUMENT_MAX, &out->desc, d);
	artifact_named(object, &out->desc.artifact);
	out->desc.has_platform = out->platform.os[0] != '\0';
	return err;
}

static err_t list_parse(const json_t *list, struct index_entries *out, struct diag *d)
{
	size_t n = json_array_size(list);
	if (n > MANIFEST_ENTRIES_MAX)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "the index has %zu entries, more than %d",
			    n, MANIFEST_ENTRIES_MAX);
	out->entries = try_array(n, sizeof(*out->entries), MANIFEST_ENTRIES_MAX);
	if (!out->entries)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "parse an index of %zu entries", n);
	while (out->n < n) {
		size_t i = out->n++;
		err_t err = entry_parse(json_array_get(list, i), &out->entries[i], d);
		if (err) {
			diag_prepend(d, "entry %zu of the index", i);
			return err;
		}
	}
	return 0;
}

err_t index_entries_parse(const struct document *index, struct index_entries *out, struct diag *d)
{
	*out = (struct index_entries){0};
	json_auto_t *root = NULL;
	const json_t *list;
	err_t err = document_of_kind(index, MANIFEST_INDEX, &root, d);
	if (!err)
		err = json_member_array(root, "manifests", &list, d);
	if (!err)
		err = list_parse(list, out, d);
	if (err)
		index_entries_fini(out);
	return err;
}

void index_entries_fini(struct index_entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->entries[i].ref_name);
	free(e->entries);
	*e = (struct index_entries){0};
}

/* Smaller is better; negative: not at all. Entries that name no platform come last. */
static int entry_rank(const struct index_entry *e, const struct platform *wanted)
{
	if (!e->is_image)
		return -1;
	return e->desc.has_platform ? platform_rank(wanted, &e->platform) : INT_MAX;
}

static err_t fail_no_platform(const struct index_entries *e, const struct platform *wanted,
			      struct diag *d)
{
	char list[LISTED_MAX * 40] = "", text[100];
	size_t at = 0, listed = 0;
	for (size_t i = 0; i < e->n && listed < LISTED_MAX; i++) {
		if (!e->entries[i].is_image)
			continue;
		platform_text(&e->entries[i].platform, text);
		int n = snprintf(list + at, sizeof(list) - at, "%s%s", listed++ ? ", " : "", text);
		at = min_of(at + (size_t)n, sizeof(list) - 1);
	}
	return fail(d, ERR_NOT_FOUND, -ENOENT, "no image for platform %s; there is: %s",
		    platform_text(wanted, text), listed ? list : "none");
}

err_t manifest_choose(const struct document *index, const struct platform *wanted,
		      struct descriptor *out, struct diag *d)
{
	struct index_entries entries;
	err_t err = index_entries_parse(index, &entries, d);
	if (err)
		return err;
	const struct index_entry *best = NULL;
	for (size_t i = 0; i < entries.n; i++) {
		int rank = entry_rank(&entries.entries[i], wanted);
		if (rank >= 0 && (!best || rank < entry_rank(best, wanted)))
			best = &entries.entries[i];
	}
	if (best)
		*out = best->desc;
	else
		err = fail_no_platform(&entries, wanted, d);
	index_entries_fini(&entries);
	return err;
}

err_t layout_file_check(struct bytes text, struct diag *d)
{
	json_auto_t *root = NULL;
	const char *version = NULL;
	err_t err = json_parse_object(text, &root, d);
	if (!err)
		err = json_member_string(root, "imageLayoutVersion", &version, d);
	if (err)
		return err;
	if (!version)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "there is no imageLayoutVersion");
	if (strncmp(version, "1.", 2))
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "image layout version \"%s\" is not 1.x",
			    version);
	return 0;
}
