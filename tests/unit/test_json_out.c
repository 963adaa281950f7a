/*
 * The JSON writer: commas and lines, every byte there is, and the two forms of what is not UTF-8.
 * jansson is the second opinion.
 */
#include "tools/format.c"
#include "tools/json_out.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

struct page {
	struct json_out json;
	char *text;
	size_t n;
};

static void start(struct page *p, unsigned line_depth)
{
	p->text = NULL;
	json_out_start(&p->json, open_memstream(&p->text, &p->n), line_depth);
}

static void assert_page(struct page *p, const char *expected)
{
	assert_int_equal(fclose(p->json.out), 0);
	assert_int_equal(p->json.depth, 0);
	assert_string_equal(p->text, expected);
	free(p->text);
}

static void empty_containers(void **state)
{
	struct page p;
	(void)state;
	start(&p, 3);
	json_put_object(&p.json, NULL);
	json_put_array(&p.json, "a");
	json_put_end(&p.json);
	json_put_object(&p.json, "b");
	json_put_end(&p.json);
	json_put_end(&p.json);
	assert_page(&p, "{\n  \"a\": [],\n  \"b\": {}\n}\n");
	start(&p, 3);
	json_put_array(&p.json, NULL);
	json_put_end(&p.json);
	assert_page(&p, "[]\n");
}

static void lines_end_at_a_depth(void **state)
{
	struct page p;
	(void)state;
	start(&p, 1);
	json_put_array(&p.json, NULL);
	for (int i = 0; i < 2; i++) {
		json_put_object(&p.json, NULL);
		json_put_number(&p.json, "n", UINT64_MAX);
		json_put_signed(&p.json, "s", INT64_MIN);
		json_put_bool(&p.json, "t", i);
		json_put_null(&p.json, "z");
		json_put_text(&p.json, "x", NULL);
		json_put_end(&p.json);
	}
	json_put_end(&p.json);
	assert_page(&p, "[\n"
			"  {\"n\": 18446744073709551615, \"s\": -9223372036854775808, \"t\": "
			"false, \"z\": null, \"x\": null},\n"
			"  {\"n\": 18446744073709551615, \"s\": -9223372036854775808, \"t\": true, "
			"\"z\": null, \"x\": null}\n"
			"]\n");
}

static void escapes(void **state)
{
	struct page p;
	(void)state;
	start(&p, 0);
	json_put_array(&p.json, NULL);
	json_put_text(&p.json, NULL, "\"\\/\n\x1b\x7f");
	json_put_text(&p.json, NULL, "\xc2\x9b|\xe2\x80\xae|\xc3\xa4|\xf0\x9f\x98\x80");
	json_put_text(&p.json, NULL, "a\xffz");
	json_put_end(&p.json);
	assert_page(&p, "[\"\\\"\\\\/\\u000a\\u001b\\u007f\", "
			"\"\\u009b|\\u202e|\xc3\xa4|\xf0\x9f\x98\x80\", \"a\xef\xbf\xbdz\"]\n");
}

static void bad_bytes_stay_readable(void **state)
{
	static const uint8_t name[] = {'a', 0xff, 0, 'z'};
	struct page p;
	(void)state;
	start(&p, 0);
	json_put_object(&p.json, NULL);
	json_put_bytes(&p.json, "name", (struct bytes){name, sizeof(name)});
	json_put_bytes(&p.json, "fine", (struct bytes){name, 1});
	json_put_bytes(&p.json, "none", (struct bytes){NULL, 0});
	json_put_end(&p.json);
	assert_page(&p, "{\"name\": \"a\xef\xbf\xbd\\u0000z\", \"name_bytes\": \"61ff007a\", "
			"\"fine\": \"a\", \"none\": \"\"}\n");
}

/* Undo the two forms as a reader would. */
static void assert_reversible(json_t *object, const uint8_t *expected, size_t n)
{
	json_t *hex = json_object_get(object, "v_bytes"), *text = json_object_get(object, "v");
	assert_non_null(text);
	if (!hex) {
		assert_int_equal(json_string_length(text), n);
		assert_memory_equal(json_string_value(text), expected, n);
		return;
	}
	assert_int_equal(json_string_length(hex), 2 * n);
	for (size_t i = 0; i < n; i++) {
		char two[3];
		snprintf(two, sizeof(two), "%02x", expected[i]);
		assert_memory_equal(json_string_value(hex) + 2 * i, two, 2);
	}
}

static void every_pair_of_bytes_is_reversible(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 65536; pair++) {
		const uint8_t value[] = {(uint8_t)(pair >> 8), (uint8_t)pair, '"'};
		struct page p;
		start(&p, 1);
		json_put_object(&p.json, NULL);
		json_put_bytes(&p.json, "v", (struct bytes){value, sizeof(value)});
		json_put_end(&p.json);
		fclose(p.json.out);
		json_t *object =
			json_loadb(p.text, p.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		assert_non_null(object);
		assert_reversible(object, value, sizeof(value));
		json_decref(object);
		free(p.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_containers),
		cmocka_unit_test(lines_end_at_a_depth),
		cmocka_unit_test(escapes),
		cmocka_unit_test(bad_bytes_stay_readable),
		cmocka_unit_test(every_pair_of_bytes_is_reversible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
