/*
 * fuzz_elf - arbitrary bytes as the head of a program, and as its dynamic section: refused, or
 * everything that is said of the file lies inside it
 *
 * Eight bytes: how much of the file comes behind the head; two: the head's length (little-endian
 * both); the head; the rest is the dynamic section.
 */
#include "index/elf.h"

#include <string.h>

#define BEFORE 10u /* bytes before the head */

static uint64_t number(const uint8_t *p, unsigned n)
{
	uint64_t x = 0;
	for (unsigned i = 0; i < n; i++)
		x |= (uint64_t)p[i] << 8 * i;
	return x;
}

static bool inside(struct elf_range inner, struct elf_range outer)
{
	return inner.off >= outer.off && inner.off - outer.off <= outer.len &&
	       inner.len <= outer.len - (inner.off - outer.off);
}

static void check(const struct elf *elf, uint64_t size)
{
	const struct elf_range file = {0, size};
	BUG_ON(elf->n_loads > ELF_LOADS_MAX);
	for (unsigned i = 0; i < elf->n_loads; i++)
		BUG_ON(!inside(elf->loads[i].file, file));
	BUG_ON(!inside(elf->dynamic, file));
	BUG_ON(!inside(elf->loader, file));
}

static void check_dynamic(const struct elf *elf, const struct elf_dynamic *got)
{
	bool found = false;
	for (unsigned i = 0; i < elf->n_loads; i++)
		found = found || inside(got->strings, elf->loads[i].file);
	BUG_ON(!found);
	BUG_ON(got->n_needed > ELF_NEEDED_MAX);
	for (unsigned i = 0; i < got->n_needed; i++)
		BUG_ON(got->needed[i] >= got->strings.len);
	BUG_ON(got->search > got->strings.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < BEFORE)
		return 0;
	size_t rest = size - BEFORE, n = min_of((size_t)number(data + 8, 2), rest);
	uint64_t file_size;
	if (!add_u64(n, number(data, 8), &file_size))
		file_size = UINT64_MAX;
	uint8_t *head = xcalloc(1, n); /* of exactly that size, so that a read beyond it is seen */
	if (n)
		memcpy(head, data + BEFORE, n);
	struct elf elf;
	err_t err = elf_parse((struct bytes){head, n}, file_size, &elf);
	free(head);
	BUG_ON(err && err != -ENOEXEC);
	if (err)
		return 0;
	check(&elf, file_size);
	struct elf_dynamic got;
	const struct bytes dynamic = {data + BEFORE + n, rest - n};
	err = elf_dynamic_parse(&elf, dynamic, &got);
	BUG_ON(err && err != -ENOEXEC);
	if (!err)
		check_dynamic(&elf, &got);
	return 0;
}
