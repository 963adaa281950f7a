/*
 * The bundle that libcurl verifies servers with, read as it would be: the environment before what
 * was compiled in.
 */
#include "fetch/http_authorities.h"

#include <curl/curl.h>
#include <dirent.h>
#include <openssl/pem.h>
#include <string.h>

#define BUNDLE_MAX (16u << 20) /* the usual one has 0.25 MiB */

static const char CERTIFICATE[] = "-----BEGIN CERTIFICATE-----";

static char *library_text(void)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	return xasprintf("libcurl/%s, %s", info->version,
			 info->ssl_version ? info->ssl_version : "no TLS");
}

/* The environment's, else the one that libcurl was built with. */
static char *place(const char *variable, CURLINFO info)
{
	const char *value = getenv(variable);
	if (value && *value)
		return xstrdup(value);
	CURL *easy = curl_easy_init();
	char *built_in = NULL;
	if (!easy || curl_easy_getinfo(easy, info, &built_in) != CURLE_OK)
		built_in = NULL;
	char *copy = xstrdup_or_null(built_in);
	if (easy)
		curl_easy_cleanup(easy);
	return copy;
}

static void count(struct http_authorities *a, const char *text, size_t n)
{
	const char *end = text + n;
	while ((text = memmem(text, (size_t)(end - text), CERTIFICATE, strlen(CERTIFICATE)))) {
		BIO *bio = BIO_new_mem_buf(text, (int)(end - text));
		X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
		*(certificate ? &a->n : &a->n_bad) += 1;
		X509_free(certificate);
		BIO_free(bio);
		text += strlen(CERTIFICATE);
	}
}

static void read_bundle(struct http_authorities *a)
{
	auto_buf struct buf text = {0};
	if (!a->file)
		return;
	a->err = read_file(a->file, BUNDLE_MAX, &text);
	if (!a->err && text.n)
		count(a, (const char *)text.p, text.n);
}

/* "5ed36f99.0": what c_rehash(1) makes. */
static int is_hashed(const struct dirent *entry)
{
	return strspn(entry->d_name, "0123456789abcdef") == 8 && entry->d_name[8] == '.';
}

static void read_dir(struct http_authorities *a)
{
	struct dirent **entries = NULL;
	int n = a->dir ? scandir(a->dir, &entries, is_hashed, NULL) : 0;
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	a->n_dir = n > 0 ? (size_t)n : 0;
}

void http_authorities_load(struct http_authorities *out)
{
	*out = (struct http_authorities){
		.library = library_text(),
		.file = place("SSL_CERT_FILE", CURLINFO_CAINFO),
		.dir = place("SSL_CERT_DIR", CURLINFO_CAPATH),
	};
	read_bundle(out);
	read_dir(out);
}

void http_authorities_fini(struct http_authorities *a)
{
	free(a->library);
	free(a->file);
	free(a->dir);
	*a = (struct http_authorities){0};
}
