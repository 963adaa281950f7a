/*
 * elf - what the dynamic loader reads of a program or a shared library before any of its code runs:
 * the segments that it fills with addresses, and the names of the libraries that it opens next
 *
 * Pure functions over bytes that came from an image: nothing in them is trusted, and what does not
 * make sense is -ENOEXEC, which means no more than that nothing is known about the file. Both
 * widths, both byte orders. Source: System V ABI, chapters 4 and 5.
 */
#ifndef IMGFS_INDEX_ELF_H
#define IMGFS_INDEX_ELF_H

#include "index/base.h"

#define ELF_HEAD_LEN	4096u /* the header, and the program headers of all but odd files */
#define ELF_LOADS_MAX	16u
#define ELF_DYNAMIC_MAX 8192u /* bytes of a dynamic section that are looked at */
#define ELF_NEEDED_MAX	128u

/* Bytes of the file; len 0: none. */
struct elf_range {
	uint64_t off, len;
};

struct elf_load {
	struct elf_range file;
	uint64_t addr; /* where its first byte is mapped to */
	bool writable;
};

struct elf {
	bool wide; /* 64 bit */
	bool big_endian;
	struct elf_load loads[ELF_LOADS_MAX];
	unsigned n_loads;
	struct elf_range dynamic;
	struct elf_range loader; /* the path of the program's own loader, NUL at its end */
};

/*
 * elf_parse - the first bytes of a file of this size: a program or a shared library
 * @head  min(size, ELF_HEAD_LEN) bytes or more
 * All ranges lie inside the file; what stands in them, a NUL too, has not been looked at. Loads
 * beyond ELF_LOADS_MAX are left out. -ENOEXEC for anything else, also for relocatable files and
 * core dumps.
 */
err_t elf_parse(struct bytes head, uint64_t size, struct elf *out) must_check;

struct elf_dynamic {
	struct elf_range strings;	 /* of the file; names are offsets into it, ended by NUL */
	uint64_t needed[ELF_NEEDED_MAX]; /* the libraries' names, in the file's order, below
					    strings.len */
	unsigned n_needed;
	uint64_t search; /* where to look first: directories with ':' between them; strings.len:
			    none */
};

/*
 * elf_dynamic_parse - the dynamic section
 * @dynamic  the bytes of elf->dynamic, or the first ELF_DYNAMIC_MAX of them
 * DT_RUNPATH counts, and without it DT_RPATH. More than ELF_NEEDED_MAX names are left out. -ENOEXEC
 * when it names no strings, or they begin in no segment of the file; they end with their segment at
 * the latest.
 */
err_t elf_dynamic_parse(const struct elf *elf, struct bytes dynamic,
			struct elf_dynamic *out) must_check;

#endif
