/*
 * To open an image takes TLS, JSON, decoders and a merge; to serve one that nobody reads takes a
 * thread that sleeps. What lies between the two are mostly pages of shared libraries.
 */
#include "fs/trim.h"

#include "index/base.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that can not be written are pages of a file and nothing else: to drop them loses
 * nothing. */
static int unmap_pages(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + segment->p_vaddr) & ~(page - 1);
		uintptr_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;

		/* The kernel's own pages, which have no file, refuse; that is all right. */
		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void trim_memory(void)
{
	malloc_trim(0);
	dl_iterate_phdr(unmap_pages, NULL);
}
