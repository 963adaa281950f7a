/*
 * Programs, libraries and scripts, for content_loader.c: what the dynamic loader opens for them
 * (index/elf.h, index/library.h), and whom the kernel starts for a script (index/program.h).
 */
#include "fetch/content_loader_priv.h"

#include "index/program.h"
#include "index/row_path.h"

#include <string.h>

#define NAME_LEN_MAX 256 /* of a library, its NUL included */
#define SEARCH_MAX   1024

/* --- scripts --- */

/* A program that a script names; which language's it is. */
static enum language program_add(struct content *c, const struct object *o, struct bytes search,
				 struct bytes name)
{
	static const struct bytes nowhere;
	auto_buf struct buf path = {0};
	uint32_t row;
	if (!program_find(c->image->tree, search, nowhere, name, &row, &path))
		return NO_LANGUAGE;
	object_named(c, o, row, NULL);
	return modules_begin(c, buf_bytes(&path));
}

void script_begin(struct content *c, struct object *o, struct bytes head)
{
	static const struct bytes nowhere;
	struct script script;
	if (!program_script(head, &script))
		return;
	enum language of_first = program_add(c, o, nowhere, script.interpreter);
	enum language of_second = program_add(c, o, expect_search(c), script.program);
	enum language language = of_first != NO_LANGUAGE ? of_first : of_second;
	if (language != NO_LANGUAGE)
		modules_script(c, o, language);
}

/* --- programs and libraries --- */

static void library_add(struct content *c, struct object *o, const char *text, size_t len)
{
	struct loader *l = c->loader;
	auto_buf struct buf dir = {0};
	uint32_t row;
	if (!l->dirs_known)
		library_dirs_find(c->image->tree, &l->dirs);
	l->dirs_known = true;
	if (library_find(c->image->tree, &l->dirs, &o->user,
			 (struct bytes){(const uint8_t *)text, len}, &row, &dir))
		object_named(c, o, row, &dir);
}

/* What is read before any code runs: the tables, which lie at the beginning of the first segment,
 * and the segments that are written to. */
static void wish_segments(struct object *o)
{
	if (o->size <= WHOLE_MAX) {
		if (o->head != HEAD_WANTED) /* else that was the first wish */
			object_wish(o, 0, o->size);
		return;
	}
	for (unsigned i = 0; i < o->elf.n_loads; i++) {
		const struct elf_load *load = &o->elf.loads[i];
		if (i == 0 || load->writable)
			object_wish(o, load->file.off,
				    min_of(load->file.len, (uint64_t)SEGMENT_MAX));
	}
}

bool elf_begin(struct content *c, struct object *o, struct bytes head)
{
	if (elf_parse(head, o->size, &o->elf))
		return false;
	modules_have_come(c->loader, o);
	if (o->source != NO_ROW && o->user.dir.n == 0 &&
	    index_dir_path(c->image->tree, o->source, &o->user.dir))
		buf_fini(&o->user.dir);
	wish_segments(o);
	o->stage = AT_LOADER;
	object_ask_wishes(c, o);
	return true;
}

enum go elf_step_loader(struct content *c, struct object *o)
{
	char path[NAME_LEN_MAX];
	size_t len = 0, n = min_of(o->elf.loader.len, (uint64_t)sizeof(path));
	enum go came = n ? need_text(c, o, o->elf.loader.off, n, path, &len) : GO_ON;
	if (came == GO_ON) {
		if (n && o->reason == REACHED)
			modules_reached(c, o->row);
		library_add(c, o, path, len);
		o->stage = o->elf.dynamic.len ? AT_DYNAMIC : AT_END;
	}
	return came;
}

enum go elf_step_dynamic(struct content *c, struct object *o)
{
	uint8_t section[ELF_DYNAMIC_MAX];
	size_t n = min_of(o->elf.dynamic.len, (uint64_t)sizeof(section));
	enum go came = need(c, o, o->elf.dynamic.off, n, section);
	if (came != GO_ON)
		return came;
	bool fits = elf_dynamic_parse(&o->elf, (struct bytes){section, n}, &o->dynamic) == 0;
	o->stage = fits ? AT_SEARCH : AT_END;
	return GO_ON;
}

enum go elf_step_search(struct content *c, struct object *o)
{
	char text[SEARCH_MAX];
	const struct elf_dynamic *d = &o->dynamic;
	size_t len = 0, n = min_of(d->strings.len - d->search, (uint64_t)sizeof(text));
	enum go came = n ? need_text(c, o, d->strings.off + d->search, n, text, &len) : GO_ON;
	if (came != GO_ON)
		return came;
	o->stage = AT_NAMES;
	return buf_append(&o->user.search, text, len) ? GO_END : GO_ON;
}

enum go elf_step_name(struct content *c, struct object *o)
{
	char name[NAME_LEN_MAX];
	size_t len;
	const struct elf_dynamic *d = &o->dynamic;
	if (o->next == d->n_needed) {
		o->stage = AT_END;
		return GO_ON;
	}
	uint64_t at = d->needed[o->next];
	size_t n = min_of(d->strings.len - at, (uint64_t)sizeof(name));
	enum go came = need_text(c, o, d->strings.off + at, n, name, &len);
	if (came == GO_ON) {
		library_add(c, o, name, len);
		o->next++;
	}
	return came;
}
