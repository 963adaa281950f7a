/* Signatures: made, checked, and every way to get one wrong; base64 between bytes and annotations.
 */
#include "fetch/base64.h"
#include "fetch/log.h"
#include "fetch/signing.h"
#include "tests/unit/key_build.h"

#include "index/digest.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/prctl.h>

static const char *const KINDS[] = {"ED25519", "P-256"};
static const char STATEMENT[] = "imgfs-index-statement-1\nsubject sha256:00\n";

struct pair {
	struct signing_key *secret;
	struct public_key *open_half;
	struct buf signature;
};

static void pair_make(struct pair *p, const char *kind)
{
	auto_free char *secret = key_path("pair.key");
	auto_free char *open_half = key_path("pair.pem");
	*p = (struct pair){0};
	key_pair(kind, "pair");
	assert_int_equal(signing_key_load(secret, &p->secret, NULL), 0);
	assert_int_equal(public_key_load(open_half, &p->open_half, NULL), 0);
	assert_int_equal(signing_key_sign(p->secret, BYTES_STR(STATEMENT), &p->signature, NULL), 0);
}

static void pair_fini(struct pair *p)
{
	signing_key_free(&p->secret);
	public_key_free(&p->open_half);
	buf_fini(&p->signature);
	assert_null(p->secret);
	assert_null(p->open_half);
}

static bool verifies(const struct pair *p, struct bytes statement)
{
	return public_key_verifies(p->open_half, statement, buf_bytes(&p->signature));
}

/* --- signatures --- */

static void a_signature_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		struct pair p;
		pair_make(&p, KINDS[i]);
		assert_true(verifies(&p, BYTES_STR(STATEMENT)));
		assert_true(p.signature.n <= 72);
		assert_string_equal(signing_key_id(p.secret), public_key_id(p.open_half));
		pair_fini(&p);
	}
}

static void sign_appends(void **state)
{
	struct pair p;
	struct buf out = {0};
	(void)state;
	pair_make(&p, "ED25519");
	assert_int_equal(buf_append(&out, "x", 1), 0);
	assert_int_equal(signing_key_sign(p.secret, BYTES_STR(STATEMENT), &out, NULL), 0);
	assert_int_equal(out.n, 1 + 64);
	assert_true(public_key_verifies(p.open_half, BYTES_STR(STATEMENT),
					(struct bytes){out.p + 1, out.n - 1}));
	buf_fini(&out);
	pair_fini(&p);
}

static void no_other_statement_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		struct pair p;
		char text[sizeof(STATEMENT)];
		pair_make(&p, KINDS[i]);
		for (size_t at = 0; at < strlen(STATEMENT); at++) {
			memcpy(text, STATEMENT, sizeof(text));
			text[at] ^= 1;
			assert_false(verifies(&p, BYTES_STR(text)));
		}
		assert_false(verifies(&p, (struct bytes){(const uint8_t *)STATEMENT, 0}));
		assert_false(verifies(
			&p, (struct bytes){(const uint8_t *)STATEMENT, strlen(STATEMENT) - 1}));
		assert_false(verifies(
			&p, (struct bytes){(const uint8_t *)STATEMENT, sizeof(STATEMENT)}));
		pair_fini(&p);
	}
}

static void no_other_signature_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		struct pair p;
		pair_make(&p, KINDS[i]);
		size_t n = p.signature.n;
		for (size_t at = 0; at < n; at++) {
			p.signature.p[at] ^= 1;
			assert_false(verifies(&p, BYTES_STR(STATEMENT)));
			p.signature.p[at] ^= 1;
		}
		for (p.signature.n = 0; p.signature.n < n; p.signature.n++)
			assert_false(verifies(&p, BYTES_STR(STATEMENT)));
		assert_int_equal(buf_append(&p.signature, "", 1), 0);
		assert_false(verifies(&p, BYTES_STR(STATEMENT)));
		assert_false(public_key_verifies(p.open_half, BYTES_STR(STATEMENT),
						 (struct bytes){NULL, 0}));
		assert_int_equal(ERR_peek_error(), 0); /* TLS shares the queue */
		pair_fini(&p);
	}
}

static void no_other_key_verifies(void **state)
{
	struct pair pairs[4];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		pair_make(&pairs[i], KINDS[i % 2]);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		for (size_t k = 0; k < ARRAY_LEN(pairs); k++)
			assert_int_equal(public_key_verifies(pairs[i].open_half,
							     BYTES_STR(STATEMENT),
							     buf_bytes(&pairs[k].signature)),
					 i == k);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		pair_fini(&pairs[i]);
}

/* --- key files --- */

static void refused(const char *path, err_t want, const char *word)
{
	struct signing_key *secret = (void *)1;
	struct public_key *open_half = (void *)1;
	struct diag d = DIAG_INIT;
	assert_int_equal(signing_key_load(path, &secret, &d), want);
	assert_null(secret);
	assert_int_equal(d.cls, ERR_USAGE);
	assert_non_null(strstr(d.text, path));
	assert_int_equal(public_key_load(path, &open_half, &d), want);
	assert_null(open_half);
	assert_int_equal(d.cls, ERR_USAGE);
	if (!strstr(d.text, word))
		fail_msg("'%s' says nothing of '%s'", d.text, word);
	assert_int_equal(ERR_peek_error(), 0);
}

static void other_kinds_are_refused(void **state)
{
	static const char *const kinds[] = {"RSA", "P-384", "P-521", "secp256k1", "ED448"};
	auto_free char *path = key_path("other.key");
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = key_make(kinds[i]);
		struct public_key *open_half;
		key_write(key, true, path);
		refused(path, -EINVAL, "another kind");
		key_write(key, false, path);
		assert_int_equal(public_key_load(path, &open_half, NULL), -EINVAL);
		EVP_PKEY_free(key);
	}
}

static void a_private_key_is_a_public_one_too(void **state)
{
	auto_free char *secret = key_path("both.key");
	auto_free char *open_path = key_path("both.pem");
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		struct public_key *a, *b;
		struct signing_key *none;
		struct diag d = DIAG_INIT;
		key_pair(KINDS[i], "both");
		assert_int_equal(public_key_load(secret, &a, NULL), 0);
		assert_int_equal(public_key_load(open_path, &b, NULL), 0);
		assert_string_equal(public_key_id(a), public_key_id(b));
		assert_int_equal(signing_key_load(open_path, &none, &d), -EINVAL);
		assert_non_null(strstr(d.text, "private key"));
		public_key_free(&a);
		public_key_free(&b);
	}
}

static void an_encrypted_key_is_not_asked_about(void **state)
{
	auto_free char *path = key_path("encrypted.key");
	EVP_PKEY *key = key_make("ED25519");
	FILE *file = fopen(path, "w");
	(void)state;
	assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(),
					      (const unsigned char *)"secret", 6, NULL, NULL),
			 1);
	fclose(file);
	EVP_PKEY_free(key);
	refused(path, -EINVAL, "passphrase");
}

static void damaged_files(void **state)
{
	auto_free char *good = key_path("good.key");
	auto_free char *path = key_path("damaged.key");
	struct buf pem = {0};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		key_pair(KINDS[i], "good");
		pem.n = 0;
		assert_int_equal(read_file(good, KEY_FILE_MAX, &pem), 0);
		/* the last two bytes are a dash, which counts, and a line end, which does not */
		for (size_t n = 0; n + 1 < pem.n; n += 1 + n / 8) {
			auto_free char *text = xstrndup((const char *)pem.p, n);
			text_write(path, text);
			refused(path, -EINVAL, "PEM");
		}
	}
	buf_fini(&pem);
	text_write(path, "what is this?\n");
	refused(path, -EINVAL, "PEM");
	assert_int_equal(truncate(path, KEY_FILE_MAX + 1), 0);
	refused(path, -E2BIG, "larger");
	assert_int_equal(unlink(path), 0);
	refused(path, -ENOENT, "No such file");
	refused(key_dir, -EISDIR, "directory");
}

/* The id of a fixed key, by the definition and by a number that must not change. */
static void ids_are_stable(void **state)
{
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
				  "-----END PUBLIC KEY-----\n"; /* RFC 8032, 7.1, TEST 1 */
	struct public_key *k;
	struct buf der = {0};
	uint8_t hash[SHA256_LEN];
	char want[KEY_ID_LEN + 1];
	(void)state;
	assert_int_equal(
		base64_decode(BYTES_STR("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIa"
					"aPcHURo="),
			      &der),
		0);
	sha256_of(der.p, der.n, hash);
	for (size_t i = 0; i < KEY_ID_LEN / 2; i++)
		snprintf(want + 2 * i, 3, "%02x", hash[i]);
	assert_int_equal(public_key_parse(BYTES_STR(pem), "pem", &k, NULL), 0);
	assert_string_equal(public_key_id(k), want);
	assert_string_equal(public_key_id(k), "06e3fd8fda29bb60");
	public_key_free(&k);
	buf_fini(&der);
}

/* One P-256 key in its other spellings has one id. */
static void spellings_have_one_id(void **state)
{
	static const char *const spellings[][2] = {
		{OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"},
		{OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "hybrid"},
		{OSSL_PKEY_PARAM_EC_ENCODING, "explicit"},
	};
	auto_free char *path = key_path("spelled.pem");
	EVP_PKEY *key = key_make("P-256");
	struct public_key *a, *b;
	(void)state;
	key_write(key, false, path);
	assert_int_equal(public_key_load(path, &a, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
		for (int half = 0; half < 2; half++) {
			EVP_PKEY *other = EVP_PKEY_dup(key);
			assert_int_equal(EVP_PKEY_set_utf8_string_param(other, spellings[i][0],
									spellings[i][1]),
					 1);
			key_write(other, half, path);
			assert_int_equal(public_key_load(path, &b, NULL), 0);
			assert_string_equal(public_key_id(a), public_key_id(b));
			public_key_free(&b);
			EVP_PKEY_free(other);
		}
	public_key_free(&a);
	EVP_PKEY_free(key);
}

/* --- secrets --- */

static void loading_a_secret_ends_dumps(void **state)
{
	auto_free char *path = key_path("dump.key");
	struct signing_key *k;
	(void)state;
	key_pair("ED25519", "dump");
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
	assert_int_equal(signing_key_load(path, &k, NULL), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	signing_key_free(&k);
}

static bool load_warns(const char *path, mode_t mode)
{
	auto_free char *log = key_path("log");
	struct signing_key *k;
	struct buf text = {0};
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	log_to_fd(fd);
	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(signing_key_load(path, &k, NULL), 0);
	signing_key_free(&k);
	assert_int_equal(read_file(log, 0, &text), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	bool warned = strstr((const char *)text.p, "signing.key-readable") != NULL;
	buf_fini(&text);
	return warned;
}

static void a_readable_secret_is_logged(void **state)
{
	auto_free char *path = key_path("open.key");
	(void)state;
	key_pair("P-256", "open");
	assert_false(load_warns(path, 0600));
	assert_false(load_warns(path, 0400));
	assert_true(load_warns(path, 0640));
	assert_true(load_warns(path, 0604));
}

/* --- base64 --- */

static void base64_round_trips(void **state)
{
	static const struct {
		const char *plain, *text; /* RFC 4648, section 10 */
	} cases[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = {0};
		auto_free char *text = base64_encode(BYTES_STR(cases[i].plain));
		assert_string_equal(text, cases[i].text);
		assert_int_equal(buf_append(&out, "-", 1), 0);
		assert_int_equal(base64_decode(BYTES_STR(text), &out), 0);
		assert_int_equal(out.n, 1 + strlen(cases[i].plain));
		assert_memory_equal(out.p + 1, cases[i].plain, strlen(cases[i].plain));
		buf_fini(&out);
	}
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z",	"Zg",	    "Zg=",	"Zg===",      "====",	  "=Zg=",     "Zh==",
		"Zm9=", "Zg==Zg==", "Zm9v\n",	"\nZm9v",     "    Zm9v", "Zm9v    ", "Zm 9vYg==",
		"Zm-_", "Z*9v",	    "Zm9v====", "Zm9vZm\n\n", "Zg=a",
	};
	struct buf out = {0};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (base64_decode(BYTES_STR(bad[i]), &out) != -EBADMSG)
			fail_msg("'%s' passed", bad[i]);
		out.n = 0;
	}
	assert_int_equal(base64_decode((struct bytes){(const uint8_t *)"Zm9v\0\0\0\0", 8}, &out),
			 -EBADMSG);
	auto_free char *large = xcalloc(BASE64_TEXT_MAX + 4, 1);
	memset(large, 'A', BASE64_TEXT_MAX + 4);
	struct bytes text = {(const uint8_t *)large, BASE64_TEXT_MAX};
	assert_int_equal(base64_decode(text, &out), 0);
	text.n += 4;
	assert_int_equal(base64_decode(text, &out), -E2BIG);
	struct buf small = {.limit = 2};
	assert_int_equal(base64_decode(BYTES_STR("Zm9v"), &small), -E2BIG);
	buf_fini(&small);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_verifies),
		cmocka_unit_test(sign_appends),
		cmocka_unit_test(no_other_statement_verifies),
		cmocka_unit_test(no_other_signature_verifies),
		cmocka_unit_test(no_other_key_verifies),
		cmocka_unit_test(other_kinds_are_refused),
		cmocka_unit_test(a_private_key_is_a_public_one_too),
		cmocka_unit_test(an_encrypted_key_is_not_asked_about),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(ids_are_stable),
		cmocka_unit_test(spellings_have_one_id),
		cmocka_unit_test(loading_a_secret_ends_dumps),
		cmocka_unit_test(a_readable_secret_is_logged),
		cmocka_unit_test(base64_round_trips),
		cmocka_unit_test(base64_is_strict),
	};
	return cmocka_run_group_tests(tests, key_dir_make, key_dir_remove);
}
