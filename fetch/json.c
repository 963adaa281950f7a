/*
 * Strict JSON: a pass over the text bounds its depth and the number of its values, because the
 * library spends up to 300 bytes on a value that takes two bytes of text; then the library parses
 * it, refusing duplicate keys. Members come out with their type checked.
 */
#include "fetch/json.h"

struct json_measure {
	size_t depth;
	size_t values; /* at least as many as there are: one for each comma and each container */
};

/* Position behind the string that starts at text.p[at]; text.n when it does not end. */
static size_t skip_string(struct bytes text, size_t at)
{
	for (at++; at < text.n; at++) {
		if (text.p[at] == '\\')
			at++;
		else if (text.p[at] == '"')
			return at + 1;
	}
	return text.n;
}

static err_t measure_open(struct json_measure *m, struct diag *d)
{
	m->values++;
	if (++m->depth > JSON_DEPTH_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "JSON is nested deeper than %d",
			    JSON_DEPTH_MAX);
	return 0;
}

/* Brackets need not match here: what is malformed is found by the library. */
static err_t measure(struct bytes text, struct diag *d)
{
	struct json_measure m = {0, 1};
	for (size_t at = 0; at < text.n;) {
		uint8_t c = text.p[at];
		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		err_t err = c == '{' || c == '[' ? measure_open(&m, d) : 0;
		if (err)
			return err;
		if ((c == '}' || c == ']') && m.depth)
			m.depth--;
		if (c == ',')
			m.values++;
		if (m.values > JSON_VALUES_MAX)
			return fail(d, ERR_INTEGRITY, -EBADMSG, "JSON has more than %d values",
				    JSON_VALUES_MAX);
		at++;
	}
	return 0;
}

err_t json_parse_object(struct bytes text, json_t **out, struct diag *d)
{
	*out = NULL;
	err_t err = measure(text, d);
	if (err)
		return err;
	json_error_t error;
	json_t *root = json_loadb(text.n ? (const char *)text.p : "", text.n,
				  JSON_REJECT_DUPLICATES, &error);
	if (!root && json_error_code(&error) == json_error_out_of_memory)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "parse JSON");
	if (!root)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "bad JSON at byte %d: %s", error.position,
			    error.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return fail(d, ERR_INTEGRITY, -EBADMSG, "JSON is not an object");
	}
	*out = root;
	return 0;
}

static err_t member_typed(const json_t *object, const char *key, json_type type,
			  const char *type_name, const json_t **out, struct diag *d)
{
	const json_t *value = json_object_get(object, key);
	*out = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "\"%s\" is not %s", key, type_name);
	*out = value;
	return 0;
}

err_t json_member_string(const json_t *object, const char *key, const char **out, struct diag *d)
{
	const json_t *value;
	err_t err = member_typed(object, key, JSON_STRING, "a string", &value, d);
	*out = json_string_value(value);
	return err;
}

err_t json_member_object(const json_t *object, const char *key, const json_t **out, struct diag *d)
{
	return member_typed(object, key, JSON_OBJECT, "an object", out, d);
}

err_t json_member_array(const json_t *object, const char *key, const json_t **out, struct diag *d)
{
	return member_typed(object, key, JSON_ARRAY, "an array", out, d);
}

err_t json_member_size(const json_t *object, const char *key, uint64_t max, uint64_t *out,
		       struct diag *d)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "\"%s\" is not an integer", key);
	json_int_t n = json_integer_value(value);
	if (n < 0 || (uint64_t)n > max)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "\"%s\" is %lld, not within 0..%llu", key,
			    (long long)n, (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

bool json_member_set(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return value && !json_is_null(value);
}
