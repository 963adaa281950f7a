/*
 * What the files of the running program and of its libraries say is what the loader did with them.
 */
#include "index/elf.h"

#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the running program, as the loader has it in memory --- */

#define OBJECTS_MAX 64u

struct object {
	char *path;
	uintptr_t base;
	const ElfW(Phdr) * segments;
	unsigned n_segments;
};

struct objects {
	struct object list[OBJECTS_MAX];
	unsigned n;
};

/* The program itself has no name here; what the kernel provides has one without a directory. */
static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct objects *all = arg;
	(void)size;
	const char *path = all->n == 0 ? "/proc/self/exe" : info->dlpi_name;
	if (!strchr(path, '/') || all->n == OBJECTS_MAX)
		return 0;
	all->list[all->n++] =
		(struct object){xstrdup(path), info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
	return 0;
}

static int objects_new(void **state)
{
	struct objects *all = new_of(struct objects);
	dl_iterate_phdr(note_object, all);
	*state = all;
	return 0;
}

static int objects_free(void **state)
{
	struct objects *all = *state;
	for (unsigned i = 0; i < all->n; i++)
		free(all->list[i].path);
	free(all);
	return 0;
}

static const ElfW(Phdr) * segment_of(const struct object *object, uint32_t type)
{
	for (unsigned i = 0; i < object->n_segments; i++)
		if (object->segments[i].p_type == type)
			return &object->segments[i];
	return NULL;
}

static const void *memory_of(const struct object *object, const ElfW(Phdr) * segment)
{
	return (const void *)(object->base + segment->p_vaddr);
}

/* --- the same, from its file --- */

struct file {
	int fd;
	uint64_t size;
	struct elf elf;
};

static void file_open(const char *path, struct file *out)
{
	struct stat st;
	uint8_t *head;
	out->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(out->fd >= 0);
	assert_int_equal(fstat(out->fd, &st), 0);
	out->size = (uint64_t)st.st_size;
	size_t n = min_of(out->size, ELF_HEAD_LEN);
	head = xcalloc(1, n);
	assert_int_equal(read_at(out->fd, head, n, 0), 0);
	assert_int_equal(elf_parse((struct bytes){head, n}, out->size, &out->elf), 0);
	free(head);
}

static uint8_t *file_bytes(const struct file *file, struct elf_range range)
{
	uint8_t *p = xcalloc(1, range.len + 1);
	assert_int_equal(read_at(file->fd, p, range.len, range.off), 0);
	return p;
}

static void assert_segment(struct elf_range range, const ElfW(Phdr) * want)
{
	assert_int_equal(range.len, want ? want->p_filesz : 0);
	if (range.len)
		assert_int_equal(range.off, want->p_offset);
}

static void assert_same_loads(const struct elf *elf, const struct object *object)
{
	unsigned n = 0;
	for (unsigned i = 0; i < object->n_segments; i++) {
		const ElfW(Phdr) *want = &object->segments[i];
		if (want->p_type != PT_LOAD)
			continue;
		assert_true(n < elf->n_loads);
		assert_segment(elf->loads[n].file, want);
		assert_int_equal(elf->loads[n].addr, want->p_vaddr);
		assert_int_equal(elf->loads[n].writable, (want->p_flags & PF_W) != 0);
		n++;
	}
	assert_int_equal(elf->n_loads, n);
}

static void segments_are_those_in_memory(void **state)
{
	const struct objects *all = *state;
	assert_true(all->n > 1);
	for (unsigned i = 0; i < all->n; i++) {
		const struct object *object = &all->list[i];
		struct file file;
		file_open(object->path, &file);
		assert_int_equal(file.elf.wide, sizeof(void *) == 8);
		assert_int_equal(file.elf.big_endian, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
		assert_same_loads(&file.elf, object);
		assert_segment(file.elf.dynamic, segment_of(object, PT_DYNAMIC));
		assert_segment(file.elf.loader, segment_of(object, PT_INTERP));
		close(file.fd);
	}
}

static void loader_is_the_one_in_memory(void **state)
{
	const struct objects *all = *state;
	const struct object *program = &all->list[0];
	const ElfW(Phdr) *want = segment_of(program, PT_INTERP);
	struct file file;
	assert_non_null(want);
	file_open(program->path, &file);
	uint8_t *path = file_bytes(&file, file.elf.loader);
	assert_int_equal(strlen((char *)path) + 1, file.elf.loader.len);
	assert_string_equal((char *)path, memory_of(program, want));
	assert_int_equal(path[0], '/');
	free(path);
	close(file.fd);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_loaded(const struct objects *all, const char *name)
{
	for (unsigned i = 0; i < all->n; i++)
		if (strcmp(last_part(all->list[i].path), last_part(name)) == 0)
			return true;
	return false;
}

/* Numbers only: the loader makes addresses of the addresses, on most machines. */
static void assert_same_dynamic(const struct elf_dynamic *got, const ElfW(Dyn) * want)
{
	unsigned n = 0;
	uint64_t runpath = got->strings.len, rpath = got->strings.len;
	for (; want->d_tag != DT_NULL; want++) {
		if (want->d_tag == DT_STRSZ)
			assert_int_equal(got->strings.len, want->d_un.d_val);
		if (want->d_tag == DT_RUNPATH)
			runpath = want->d_un.d_val;
		if (want->d_tag == DT_RPATH)
			rpath = want->d_un.d_val;
		if (want->d_tag != DT_NEEDED)
			continue;
		assert_true(n < got->n_needed);
		assert_int_equal(got->needed[n++], want->d_un.d_val);
	}
	assert_int_equal(got->n_needed, n);
	assert_int_equal(got->search, runpath < got->strings.len ? runpath : rpath);
}

static void needed_libraries_are_loaded(void **state)
{
	const struct objects *all = *state;
	for (unsigned i = 0; i < all->n; i++) {
		const struct object *object = &all->list[i];
		struct file file;
		struct elf_dynamic got;
		file_open(object->path, &file);
		assert_in_range(file.elf.dynamic.len, 1, ELF_DYNAMIC_MAX);
		uint8_t *dynamic = file_bytes(&file, file.elf.dynamic);
		assert_int_equal(elf_dynamic_parse(&file.elf,
						   (struct bytes){dynamic, file.elf.dynamic.len},
						   &got),
				 0);
		assert_same_dynamic(&got, memory_of(object, segment_of(object, PT_DYNAMIC)));
		if (i == 0)
			assert_true(got.n_needed > 0);
		uint8_t *strings = file_bytes(&file, got.strings);
		for (unsigned k = 0; k < got.n_needed; k++)
			assert_true(is_loaded(all, (char *)strings + got.needed[k]));
		free(strings);
		free(dynamic);
		close(file.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(segments_are_those_in_memory, objects_new,
						objects_free),
		cmocka_unit_test_setup_teardown(loader_is_the_one_in_memory, objects_new,
						objects_free),
		cmocka_unit_test_setup_teardown(needed_libraries_are_loaded, objects_new,
						objects_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
