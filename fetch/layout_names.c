/*
 * The names that a layout gives its images, for who wants to choose one.
 */
#include "fetch/layout_priv.h"
#include "fetch/manifest_priv.h"

#include <string.h>

static bool named_before(const struct index_entries *e, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (e->entries[k].is_image && e->entries[k].ref_name &&
		    !strcmp(e->entries[k].ref_name, e->entries[i].ref_name))
			return true;
	return false;
}

err_t layout_names_each(const char *dir, layout_name_fn *fn, void *arg, struct diag *d)
{
	struct ref ref = {.kind = REF_OCI_LAYOUT, .dir = (char *)dir, .number = -1};
	struct source *source;
	struct document index = {0};
	struct index_entries entries;
	err_t err = layout_source_new(&ref, &source, d);
	if (err)
		return err;
	err = layout_read_named(layout_of(source), "index.json", &index.bytes, d);
	if (!err)
		err = index_entries_parse(&index, &entries, d);
	for (size_t i = 0; !err && i < entries.n; i++)
		if (entries.entries[i].is_image && entries.entries[i].ref_name &&
		    !named_before(&entries, i))
			fn(arg, entries.entries[i].ref_name);
	if (!err)
		index_entries_fini(&entries);
	buf_fini(&index.bytes);
	source_free(&source);
	return err;
}
