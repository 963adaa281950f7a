/*
 * test_python_code - what compiled modules of each version import; and those that lie, or are cut
 * off, find nothing that is not in them
 */
#include "index/python_imports.h"

#include "tests/unit/pyc_build.h"

static void versions_are_known(void **state)
{
	(void)state;
	static const struct {
		unsigned magic, minor;
	} cases[] = {
		{3379, 6},  {3394, 7},	{3413, 8},  {3425, 9}, {3439, 10}, {3495, 11}, {3531, 12},
		{3571, 13}, {3627, 14}, {62211, 0}, {3351, 0}, {3650, 0},  {336, 0},   {0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_buf struct buf head = {0};
		unsigned minor = 99;
		put_magic(&head, cases[i].magic);
		assert_int_equal(buf_append_zeros(&head, PYTHON_CODE_HEAD - head.n), 0);
		assert_int_equal(python_is_code(buf_bytes(&head), &minor), cases[i].minor != 0);
		assert_int_equal(minor, cases[i].minor);
		for (size_t n = 0; n < head.n; n++)
			assert_false(python_is_code((struct bytes){head.p, n}, &minor));
		head.p[2 + i % 2] = ' ';
		assert_false(python_is_code(buf_bytes(&head), &minor));
	}
}

static void each_release_is_read(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		pyc_import(&p, 0, "a", NULL);
		pyc_import(&p, 0, "a.b", NULL);
		pyc_import(&p, 0, "c", "d");
		pyc_import(&p, 0, "e", "*");
		pyc_import(&p, 1, "", "f");
		pyc_import(&p, 2, "g.h", "i");
		pyc_import(&p, 255, "", "*");
		static const char want[] = "a a.b c c.d e . .f ..g.h ..g.h.i ";
		char text[sizeof(want) + 256] = "";
		memcpy(text, want, strlen(want));
		memset(text + strlen(want), '.', 255);
		text[strlen(want) + 255] = ' ';
		check_pyc(&p, text);
	}
}

static void many_are_taken_of_one(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		put_int(b, '(' | SHARED, 6); /* number 1 */
		put_short(b, 'z', "z");
		put_short(b, 'Z' | SHARED, "Z"); /* number 2 */
		put_long(b, 'u', BYTES_STR("\xc3\xa4"));
		put_long(b, 't', BYTES_STR("t"));
		put_long(b, 'a', BYTES_STR("a"));
		put_long(b, 'A' | SHARED, BYTES_STR("A"));
		pyc_import_of(&p, 1, pyc_name(&p, "m"), 0);
		b = part_more(&p.consts);
		put_ref(b, 1);
		pyc_import_of(&p, 0, pyc_name(&p, "n"), p.consts.n - 1);
		check_pyc(&p, ".m .m.z .m.Z .m.\xc3\xa4 .m.t .m.a .m.A "
			      "n n.z n.Z n.\xc3\xa4 n.t n.a n.A ");
	}
}

/* Numbers, tuples, and names in tuples and among the names. */
static void shared_objects_are_found(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		put_int(b, 'i' | SHARED, 2); /* number 1: the level of both */
		b = part_more(&p.consts);
		put_tuple(b, ')' | SHARED, 2); /* number 2 */
		put_short(b, 'Z' | SHARED, "first");
		put_short(b, 'Z' | SHARED, "second"); /* number 4 */
		b = part_more(&p.consts);
		put_tuple(b, ')', 3);
		put_ref(b, 4);
		put_short(b, 'z', "third");
		put_ref(b, 3);
		put_ref(part_more(&p.consts), 1);
		put_ref(part_more(&p.consts), 2);
		put_ref(part_more(&p.names), 4);
		put_short(part_more(&p.names), 'Z' | SHARED, "name"); /* number 5 */
		put_ref(part_more(&p.names), 5);
		for (unsigned i = 0; i < 2; i++) {
			pyc_op(&p, r->load_const, i ? 3 : 0);
			pyc_op(&p, r->load_const, i ? 2 : 1);
			pyc_op(&p, r->import_name, i);
		}
		pyc_op(&p, r->load_const, 3);
		pyc_op(&p, r->load_const, 4);
		pyc_op(&p, r->import_name, 2);
		check_pyc(&p, "..second ..second.first ..second.second "
			      "..name ..name.second ..name.third ..name.first "
			      "..name ..name.first ..name.second ");
	}
}

static void numbers_above_255_are_extended(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		for (unsigned i = 0; i < 300; i++) {
			put_int(part_more(&p.consts), 'i' | SHARED, i);
			pyc_name(&p, "other");
		}
		pyc_import(&p, 1, "a", "b");
		for (unsigned i = 0; i < 65000; i++)
			put_u8(part_more(&p.consts), 'N');
		pyc_import(&p, 0, "c", "d");
		pyc_import(&p, 0, "e", NULL);
		check_pyc(&p, ".a .a.b c c.d e ");
	}
}

static void functions_do_not_count(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc outer = pyc_begin(r), inner = pyc_begin(r), middle = pyc_begin(r);
		pyc_import(&inner, 0, "in_method", NULL);
		put_short(part_more(&inner.names), 'Z' | SHARED, "own"); /* number 3 */
		pyc_import(&middle, 0, "in_class", NULL);
		put_code(part_more(&middle.consts), &inner, 'c' | SHARED);
		pyc_import(&outer, 0, "before", NULL);
		put_code(part_more(&outer.consts), &middle, 'c' | SHARED);
		pyc_op(&outer, r->load_const, outer.consts.n - 1);
		put_code(part_more(&outer.consts), &inner, 'c');
		pyc_import(&outer, 0, "behind", "taken");
		put_ref(part_more(&outer.names), 3);
		pyc_load_level(&outer, 0);
		pyc_op(&outer, r->load_const, outer.consts.n);
		pyc_op(&outer, r->import_name, outer.names.n - 1);
		check_pyc(&outer, "before behind behind.taken own ");
		struct pyc *const used[] = {&inner, &middle};
		for (size_t i = 0; i < ARRAY_LEN(used); i++) {
			buf_fini(&used[i]->code);
			buf_fini(&used[i]->consts.b);
			buf_fini(&used[i]->names.b);
		}
	}
}

/* --- types --- */

#define OBJECT(text)                                                                               \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}

static const struct bytes objects[] = {
	OBJECT("N"),
	OBJECT("F"),
	OBJECT("T"),
	OBJECT("S"),
	OBJECT("."),
	OBJECT("i\xff\xff\xff\x7f"),
	OBJECT("I12345678"),
	OBJECT("g12345678"),
	OBJECT("y1234567812345678"),
	OBJECT("f\3"
	       "1.5"),
	OBJECT("x\3"
	       "1.5\0012"),
	OBJECT("l\0\0\0\0"),
	OBJECT("l\3\0\0\0abcdef"),
	OBJECT("l\xfd\xff\xff\xff"
	       "abcdef"),
	OBJECT("z\3abc"),
	OBJECT("Z\0"),
	OBJECT("a\3\0\0\0abc"),
	OBJECT("A\0\0\0\0"),
	OBJECT("t\3\0\0\0abc"),
	OBJECT("u\3\0\0\0\xe6\xbc\xa2"),
	OBJECT("s\5\0\0\0\0r\0\0\0"),
	OBJECT(")\0"),
	OBJECT(")\2NT"),
	OBJECT("(\2\0\0\0N)\1F"),
	OBJECT("[\1\0\0\0N"),
	OBJECT("<\2\0\0\0NF"),
	OBJECT(">\2\0\0\0NF"),
	OBJECT("{0"),
	OBJECT("{z\1aNT{N[\0\0\0\00000"),
	OBJECT(":NNN"),
	OBJECT(":i\1\0\0\0i\2\0\0\0N"),
	OBJECT("r\0\0\0\0"),
};

/* What comes before an object and behind it. */
static const struct {
	struct bytes before, behind;
} around[] = {
	{OBJECT(""), OBJECT("")},	   {OBJECT(")\2"), OBJECT("N")},
	{OBJECT("(\1\0\0\0"), OBJECT("")}, {OBJECT("[\3\0\0\0N"), OBJECT("F")},
	{OBJECT("<\1\0\0\0"), OBJECT("")}, {OBJECT(">\1\0\0\0"), OBJECT("")},
	{OBJECT("{"), OBJECT("N0")},	   {OBJECT("{N"), OBJECT("z\1aF0")},
	{OBJECT(":N"), OBJECT("N")},
};

/* The object itself, or what is around it, is shared; the next shared one has the next number. */
static void check_object(const struct release *r, size_t object, size_t place, bool is_shared)
{
	struct pyc p = pyc_begin(r);
	struct buf *b = part_more(&p.consts);
	put(b, around[place].before.p, around[place].before.n);
	size_t at = b->n;
	put(b, objects[object].p, objects[object].n);
	if (is_shared)
		b->p[at] |= SHARED;
	put(b, around[place].behind.p, around[place].behind.n);
	b = part_more(&p.consts);
	put_tuple(b, ')' | SHARED, 1);
	put_short(b, 'z', "taken");
	put_ref(part_more(&p.consts), is_shared ? 2 : 1);
	pyc_import_of(&p, 0, pyc_name(&p, "name"), 2);
	check_pyc(&p, "name name.taken ");
}

static void each_type_is_passed_over(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++)
		for (size_t i = 0; i < ARRAY_LEN(objects) * ARRAY_LEN(around); i++) {
			size_t object = i % ARRAY_LEN(objects), place = i / ARRAY_LEN(objects);
			check_object(r, object, place, false);
			if (objects[object].p[0] != 'r')
				check_object(r, object, place, true);
		}
}

/* --- under TYPE_CHECKING --- */

static void type_checking_is_jumped_over(void **state)
{
	(void)state;
	static const char *const forms[] = {"TYPE_CHECKING", "typing.TYPE_CHECKING"};
	for (const struct release *r = releases; r < releases_end; r++)
		for (unsigned i = 0; i < 6; i++) {
			bool wide = i >= 4; /* more than a byte of distance */
			struct pyc p = pyc_begin(r);
			pyc_import(&p, 0, "first", NULL);
			pyc_op(&p, r->load_name, pyc_name(&p, i % 2 ? "typing" : forms[0]));
			if (i % 2)
				pyc_load_attr(&p, "TYPE_CHECKING");
			size_t at = pyc_jump(&p, wide);
			for (unsigned n = 0; n < (wide ? 150 : 2); n++)
				pyc_import(&p, 0, "not_this", "nor_this");
			pyc_op(&p, r->import_name, 0); /* so that a jump too short is seen */
			pyc_land(&p, at, wide);
			pyc_import(&p, 0, "behind", NULL);
			check_pyc(&p, "first behind ");
		}
}

static void other_conditions_count(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++)
		for (unsigned i = 0; i < 5; i++) {
			struct pyc p = pyc_begin(r);
			pyc_op(&p, r->load_name, pyc_name(&p, "TYPE_CHECKING"));
			if (i == 0)
				pyc_op(&p, r->store_name, pyc_name(&p, "x"));
			if (i < 2)
				pyc_op(&p, r->load_name, pyc_name(&p, "x"));
			if (i == 2)
				pyc_load_attr(&p, "x");
			if (i == 3)
				pyc_op(&p, r->load_name, pyc_name(&p, "TYPE_CHECKING_"));
			if (i == 4)
				pyc_load_level(&p, 1);
			size_t at = pyc_jump(&p, false);
			pyc_import(&p, 0, "under", NULL);
			pyc_land(&p, at, false);
			pyc_import(&p, 0, "behind", NULL);
			check_pyc(&p, "under behind ");
		}
}

/* --- lies --- */

/* Some of everything. */
static void make_rich(const struct release *r, struct buf *file)
{
	struct pyc p = pyc_begin(r), inner = pyc_begin(r);
	pyc_import(&inner, 0, "inner", NULL);
	put_code(part_more(&p.consts), &inner, 'c' | SHARED); /* number 1 */
	pyc_import(&p, 0, "first", NULL);
	struct buf *b = part_more(&p.consts);
	put_tuple(b, ')' | SHARED, 2);
	put_short(b, 'Z' | SHARED, "shared"); /* number 3 */
	put_long(b, 'u', BYTES_STR("\xc3\xa4"));
	pyc_import_of(&p, 1, pyc_name(&p, "second"), p.consts.n - 1);
	put_ref(part_more(&p.names), 3);
	pyc_import_of(&p, 2, p.names.n - 1, 0);
	pyc_op(&p, r->load_name, pyc_name(&p, "t"));
	pyc_load_attr(&p, "TYPE_CHECKING");
	size_t at = pyc_jump(&p, true);
	pyc_import(&p, 0, "not_this", NULL);
	pyc_land(&p, at, true);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		put(part_more(&p.consts), objects[i].p, objects[i].n);
	pyc_import(&p, 0, "last", "*");
	pyc_end(&p, file);
	buf_fini(&inner.code);
	buf_fini(&inner.consts.b);
	buf_fini(&inner.names.b);
}

static void cut_off_files_find_no_more(void **state)
{
	(void)state;
	static const char want[] = "first .second .second.shared .second.\xc3\xa4 ..shared last ";
	for (const struct release *r = releases; r < releases_end; r++) {
		auto_buf struct buf file = {0};
		make_rich(r, &file);
		check_found(buf_bytes(&file), true, want);
		for (size_t n = 0; n < file.n; n++) {
			auto_buf struct buf found = {0};
			find((struct bytes){file.p, n}, true, &found);
			assert_true(found.n <= sizeof(want));
			assert_memory_equal(found.p, want, found.n - 1);
		}
	}
}

static void no_byte_of_a_file_leads_outside(void **state)
{
	(void)state;
	static const uint8_t changes[] = {1, 2, 4, 8, 16, 32, 64, 128, 255, 0x55};
	for (const struct release *r = releases; r < releases_end; r++) {
		auto_buf struct buf file = {0};
		make_rich(r, &file);
		for (size_t i = 0; i < file.n * ARRAY_LEN(changes); i++) {
			auto_buf struct buf found = {0};
			uint8_t *byte = &file.p[i / ARRAY_LEN(changes)];
			*byte ^= changes[i % ARRAY_LEN(changes)];
			find(buf_bytes(&file), true, &found);
			*byte ^= changes[i % ARRAY_LEN(changes)];
		}
	}
}

/* As a number, as what is taken, as one of that; the import behind it is found. */
static void wrong_references_are_left_out(void **state)
{
	(void)state;
	/* itself; a reference (to itself); the code; what comes behind; beyond the last */
	static const uint32_t numbers[] = {1, 2, 0, 4, 5, 6, 0x7fffffff, 0x80000000, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_LEN(numbers) * 3; i++)
		for (const struct release *r = releases; r < releases_end; r++) {
			uint32_t number = numbers[i / 3];
			struct pyc p = pyc_begin(r);
			struct buf *b = part_more(&p.consts);
			put_tuple(b, ')' | SHARED, 2);
			put_ref(b, i % 3 == 0 ? number : 1);
			put_short(b, 'z', "taken");
			put_int(part_more(&p.consts), 'r' | SHARED, i % 3 == 1 ? number : 2);
			put_int(part_more(&p.consts), 'r', number);
			put_u8(part_more(&p.consts), 'N' | SHARED);
			put_int(part_more(&p.consts), 'g' | SHARED, 0);
			put_u32(&p.consts.b, 0);
			uint32_t name = pyc_name(&p, "name");
			for (unsigned k = 0; k < 3; k++)
				pyc_import_of(&p, 0, name, k);
			for (unsigned k = 0; k < 3; k++) {
				pyc_op(&p, r->load_const, k);
				pyc_op(&p, r->load_const, 3);
				pyc_op(&p, r->import_name, name);
			}
			pyc_import(&p, 0, "behind", NULL);
			check_pyc(&p, "name name name behind ");
		}
}

static void wrong_numbers_in_instructions_find_nothing(void **state)
{
	(void)state;
	static const uint32_t numbers[] = {2,	       255,	   256,	      0xffffff,
					   0x7fffffff, 0x80000000, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (const struct release *r = releases; r < releases_end; r++) {
			auto_buf struct buf file = {0}, found = {0};
			struct pyc p = pyc_begin(r);
			pyc_import(&p, 0, "name", NULL);
			pyc_op(&p, r->load_const, numbers[i]);
			pyc_op(&p, r->load_const, numbers[i]);
			pyc_op(&p, r->import_name, 0);
			pyc_op(&p, r->load_name, numbers[i]);
			pyc_op(&p, r->load_attr, numbers[i]);
			pyc_op(&p, r->load_name, pyc_name(&p, "TYPE_CHECKING"));
			pyc_op(&p, r->jump_false, numbers[i]);
			pyc_op(&p, r->import_name, numbers[i]);
			pyc_end(&p, &file);
			find(buf_bytes(&file), true, &found);
			assert_string_equal((char *)found.p, "name ");
		}
}

/* To before where they stand, if the release can say so; else to right behind. */
static void jumps_back_are_not_followed(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		pyc_op(&p, r->load_name, pyc_name(&p, "TYPE_CHECKING"));
		size_t at = pyc_jump(&p, false);
		assert_int_equal(p.code.p[at], 0);
		pyc_import(&p, 0, "behind", NULL);
		check_pyc(&p, "behind ");
	}
}

static void deep_objects_are_not_followed(void **state)
{
	(void)state;
	static const struct bytes levels[] = {
		OBJECT(")\1"),	     OBJECT("(\1\0\0\0"),
		OBJECT("[\1\0\0\0"), OBJECT("<\1\0\0\0"),
		OBJECT("{"),	     OBJECT("{N"),
		OBJECT(":"),	     OBJECT(":NN"),
		OBJECT("\xa9\1"),    OBJECT("c1234567812345678123456781234")};
	for (size_t i = 0; i < ARRAY_LEN(levels) * ARRAY_LEN(releases); i++) {
		const struct bytes level = levels[i % ARRAY_LEN(levels)];
		struct pyc p = pyc_begin(&releases[i / ARRAY_LEN(levels)]);
		struct buf *b = part_more(&p.consts);
		for (unsigned n = 0; n < 100000; n++)
			put(b, level.p, level.n);
		pyc_import(&p, 0, "name", NULL);
		check_pyc(&p, "");
	}
}

/* As deep as a program may write it without being odd. */
static void tuples_in_tuples_are_passed_over(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		for (unsigned n = 0; n < 50; n++)
			put_tuple(b, ')', 1);
		put_u8(b, 'N');
		pyc_import(&p, 0, "name", NULL);
		check_pyc(&p, "name ");
	}
}

static void absurd_counts_end_the_list(void **state)
{
	(void)state;
	static const char types[] = "([<>sztuaAl)fxZ";
	static const uint32_t counts[] = {1000, 0x7fffffff, 0x80000000, 0x80000001, UINT32_MAX};
	for (size_t i = 0; i < strlen(types) * ARRAY_LEN(counts); i++)
		for (const struct release *r = releases; r < releases_end; r++) {
			struct pyc p = pyc_begin(r);
			put_int(part_more(&p.consts), (uint8_t)types[i % strlen(types)],
				counts[i / strlen(types)] | 0xff);
			pyc_import(&p, 0, "name", NULL);
			check_pyc(&p, "");
		}
}

/* CPython shares equal tuples: that of the names may be one of the constants. */
static void names_are_a_constant(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		put_tuple(b, ')' | SHARED, 2);
		put_short(b, 'z' | SHARED, "a");
		put_short(b, 'z', "b");
		pyc_import(&p, 0, "gone", NULL);
		p.names_are = 1;
		check_pyc(&p, "a ");
	}
}

/* The same with names that are left out: the list never ends. */
static void names_left_out_end_the_search(void **state)
{
	(void)state;
	char name[300];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (const struct release *r = releases; r < releases_end; r++) {
		auto_buf struct buf file = {0}, found = {0};
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		put_long(b, 'a' | SHARED, BYTES_STR(name)); /* number 1 */
		b = part_more(&p.consts);
		put_int(b, '(', 100000);
		for (unsigned i = 0; i < 100000; i++)
			put_ref(b, 1);
		for (unsigned i = 0; i < 100000; i++)
			pyc_import_of(&p, 0, 0, 1);
		pyc_name(&p, "n");
		pyc_end(&p, &file);
		find(buf_bytes(&file), true, &found);
	}
}

/* Few bytes of instructions, and of them each takes all of a large tuple. */
static void a_full_list_ends_the_search(void **state)
{
	(void)state;
	for (const struct release *r = releases; r < releases_end; r++) {
		auto_buf struct buf file = {0}, found = {0};
		struct pyc p = pyc_begin(r);
		struct buf *b = part_more(&p.consts);
		put_int(b, '(', 100000);
		for (unsigned i = 0; i < 100000; i++)
			put_short(b, 'z', "");
		for (unsigned i = 0; i < 10000; i++)
			pyc_import_of(&p, 0, 0, 0);
		pyc_name(&p, "n");
		pyc_end(&p, &file);
		find(buf_bytes(&file), true, &found);
		assert_true(found.n > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_are_known),
		cmocka_unit_test(each_release_is_read),
		cmocka_unit_test(many_are_taken_of_one),
		cmocka_unit_test(shared_objects_are_found),
		cmocka_unit_test(numbers_above_255_are_extended),
		cmocka_unit_test(functions_do_not_count),
		cmocka_unit_test(each_type_is_passed_over),
		cmocka_unit_test(type_checking_is_jumped_over),
		cmocka_unit_test(other_conditions_count),
		cmocka_unit_test(cut_off_files_find_no_more),
		cmocka_unit_test(no_byte_of_a_file_leads_outside),
		cmocka_unit_test(wrong_references_are_left_out),
		cmocka_unit_test(wrong_numbers_in_instructions_find_nothing),
		cmocka_unit_test(jumps_back_are_not_followed),
		cmocka_unit_test(deep_objects_are_not_followed),
		cmocka_unit_test(tuples_in_tuples_are_passed_over),
		cmocka_unit_test(absurd_counts_end_the_list),
		cmocka_unit_test(names_are_a_constant),
		cmocka_unit_test(names_left_out_end_the_search),
		cmocka_unit_test(a_full_list_ends_the_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
