#include "index/elf.h"

#include <elf.h>
#include <string.h>

/* --- integers of either width and order --- */

struct view {
	struct bytes b;
	bool big_endian;
};

/* n bytes at off, n at most 8; false past the end. */
static bool take_number(const struct view *v, uint64_t off, unsigned n, uint64_t *out)
{
	uint64_t x = 0;
	if (off > v->b.n || v->b.n - off < n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned at = v->big_endian ? i : n - 1 - i;
		x = x << 8 | v->b.p[off + at];
	}
	*out = x;
	return true;
}

/* A field of a structure that has one form for each width. */
#define TAKE(v, wide, base, type, field, out)                                                      \
	take_number(                                                                               \
		v,                                                                                 \
		(base) + ((wide) ? offsetof(Elf64_##type, field) : offsetof(Elf32_##type, field)), \
		(unsigned)((wide) ? sizeof(((Elf64_##type *)0)->field)                             \
				  : sizeof(((Elf32_##type *)0)->field)),                           \
		out)

/* --- the headers --- */

static bool inside(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

static bool take_ident(struct bytes head, struct elf *out)
{
	if (head.n < EI_NIDENT || memcmp(head.p, ELFMAG, SELFMAG) != 0)
		return false;
	uint8_t width = head.p[EI_CLASS], order = head.p[EI_DATA];
	out->wide = width == ELFCLASS64;
	out->big_endian = order == ELFDATA2MSB;
	return (width == ELFCLASS64 || width == ELFCLASS32) &&
	       (order == ELFDATA2MSB || order == ELFDATA2LSB) && head.p[EI_VERSION] == EV_CURRENT;
}

static bool take_segment(const struct view *v, uint64_t at, uint64_t size, struct elf *out)
{
	uint64_t type, off, addr, len, flags;
	bool w = out->wide;
	if (!TAKE(v, w, at, Phdr, p_type, &type) || !TAKE(v, w, at, Phdr, p_offset, &off) ||
	    !TAKE(v, w, at, Phdr, p_vaddr, &addr) || !TAKE(v, w, at, Phdr, p_filesz, &len) ||
	    !TAKE(v, w, at, Phdr, p_flags, &flags))
		return false;
	if (type != PT_LOAD && type != PT_DYNAMIC && type != PT_INTERP)
		return true;
	if (!inside(off, len, size))
		return false;
	struct elf_range file = {off, len};
	if (type == PT_DYNAMIC)
		out->dynamic = file;
	else if (type == PT_INTERP)
		out->loader = file;
	else if (out->n_loads < ELF_LOADS_MAX)
		out->loads[out->n_loads++] = (struct elf_load){
			.file = file, .addr = addr, .writable = (flags & PF_W) != 0};
	return true;
}

err_t elf_parse(struct bytes head, uint64_t size, struct elf *out)
{
	uint64_t type, at, n, each;
	*out = (struct elf){0};
	if (!take_ident(head, out))
		return -ENOEXEC;
	struct view v = {head, out->big_endian};
	bool w = out->wide;
	if (!TAKE(&v, w, 0, Ehdr, e_type, &type) || !TAKE(&v, w, 0, Ehdr, e_phoff, &at) ||
	    !TAKE(&v, w, 0, Ehdr, e_phnum, &n) || !TAKE(&v, w, 0, Ehdr, e_phentsize, &each))
		return -ENOEXEC;
	if ((type != ET_EXEC && type != ET_DYN) ||
	    each != (w ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || !inside(at, n * each, head.n))
		return -ENOEXEC;
	for (uint64_t i = 0; i < n; i++)
		if (!take_segment(&v, at + i * each, size, out))
			return -ENOEXEC;
	return 0;
}

/* --- the dynamic section --- */

/* The bytes of the file that are mapped to an address, to the end of their segment. */
static bool mapped_from(const struct elf *elf, uint64_t addr, struct elf_range *out)
{
	for (unsigned i = 0; i < elf->n_loads; i++) {
		const struct elf_load *load = &elf->loads[i];
		if (addr < load->addr || addr - load->addr >= load->file.len)
			continue;
		uint64_t into = addr - load->addr;
		*out = (struct elf_range){load->file.off + into, load->file.len - into};
		return true;
	}
	return false;
}

/* What the tags say, before anything of it is checked. */
struct tags {
	uint64_t strings, strings_len, runpath, rpath;
	bool has_strings, has_runpath, has_rpath;
};

static void note_tag(uint64_t tag, uint64_t value, struct tags *tags, struct elf_dynamic *out)
{
	switch (tag) {
	case DT_STRTAB:
		tags->strings = value;
		tags->has_strings = true;
		break;
	case DT_STRSZ:
		tags->strings_len = value;
		break;
	case DT_RUNPATH:
		tags->runpath = value;
		tags->has_runpath = true;
		break;
	case DT_RPATH:
		tags->rpath = value;
		tags->has_rpath = true;
		break;
	case DT_NEEDED:
		if (out->n_needed < ELF_NEEDED_MAX)
			out->needed[out->n_needed++] = value;
		break;
	default:
		break;
	}
}

/* Names that lie outside of the strings are left out. */
static void keep_names_inside(struct elf_dynamic *out)
{
	unsigned n = 0;
	for (unsigned i = 0; i < out->n_needed; i++)
		if (out->needed[i] < out->strings.len)
			out->needed[n++] = out->needed[i];
	out->n_needed = n;
}

err_t elf_dynamic_parse(const struct elf *elf, struct bytes dynamic, struct elf_dynamic *out)
{
	struct view v = {dynamic, elf->big_endian};
	struct tags tags = {0};
	uint64_t each = elf->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn), tag, value;
	out->n_needed = 0;
	for (uint64_t at = 0; TAKE(&v, elf->wide, at, Dyn, d_tag, &tag) &&
			      TAKE(&v, elf->wide, at, Dyn, d_un, &value) && tag != DT_NULL;
	     at += each)
		note_tag(tag, value, &tags, out);
	if (!tags.has_strings || !mapped_from(elf, tags.strings, &out->strings))
		return -ENOEXEC;
	out->strings.len = min_of(out->strings.len, tags.strings_len);
	keep_names_inside(out);
	out->search = out->strings.len;
	if (tags.has_runpath)
		out->search = min_of(tags.runpath, out->strings.len);
	else if (tags.has_rpath)
		out->search = min_of(tags.rpath, out->strings.len);
	return 0;
}
