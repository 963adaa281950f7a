/*
 * The libraries are asked at run time, by the names of their version functions: a report of a bug
 * needs what is loaded, not what the headers said, and each library's header stays where the house
 * wants it. A library that is not there, or linked statically, is left out.
 */
#include "tools/version.h"

#include "index/decode.h"

#include <dlfcn.h>
#include <stdio.h>

#ifndef IMGFS_VERSION
#define IMGFS_VERSION "unknown"
#endif

enum version_form {
	VERSION_TEXT,	     /* const char *f(void) */
	VERSION_TEXT_OF_INT, /* const char *f(int), 0: the short form */
	VERSION_NUMBER,	     /* unsigned f(void): major * 10000 + minor * 100 + patch */
};

static const struct {
	const char *name; /* "" where the text has it */
	const char *symbol;
	enum version_form form;
} libraries[] = {
	{"libfuse ", "fuse_pkgversion", VERSION_TEXT},
	{"", "curl_version", VERSION_TEXT},
	{"", "OpenSSL_version", VERSION_TEXT_OF_INT},
	{"zlib ", "zlibVersion", VERSION_TEXT},
	{"isa-l ", "isal_get_version_str", VERSION_TEXT},
	{"zstd ", "ZSTD_versionString", VERSION_TEXT},
	{"xxhash ", "XXH_versionNumber", VERSION_NUMBER},
	{"jansson ", "jansson_version_str", VERSION_TEXT},
};

/* POSIX lets a symbol's address be a function's; C has no conversion for it. */
union version_function {
	void *address;
	const char *(*text)(void);
	const char *(*text_of_int)(int);
	unsigned (*number)(void);
};

static void version_text(union version_function f, enum version_form form, char *out, size_t size)
{
	if (form == VERSION_NUMBER) {
		unsigned n = f.number();
		snprintf(out, size, "%u.%u.%u", n / 10000, n / 100 % 100, n % 100);
	} else {
		snprintf(out, size, "%s", form == VERSION_TEXT ? f.text() : f.text_of_int(0));
	}
}

static void print_libraries(void)
{
	const char *separator = "";
	printf("libraries: ");
	for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
		char text[256];
		union version_function f = {dlsym(RTLD_DEFAULT, libraries[i].symbol)};
		if (!f.address)
			continue;
		version_text(f, libraries[i].form, text, sizeof(text));
		printf("%s%s%s", separator, libraries[i].name, text);
		separator = ", ";
	}
	printf("\n");
}

void version_print(void)
{
	printf("imgfs " IMGFS_VERSION "\n");
	print_libraries();
	printf("features: gzip=%s layers=tar,gzip,zstd sources=registry,oci\n",
	       inflate_engine_available(INFLATE_ISAL) ? "isa-l,zlib" : "zlib");
}
