/* Keys made when they are needed, and the files they are kept in; a folder of its own for each
 * test. */
#ifndef IMGFS_TESTS_KEY_BUILD_H
#define IMGFS_TESTS_KEY_BUILD_H

#include "index/base.h"

#include <stdarg.h>
#include <setjmp.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char key_dir[64];

static inline int key_dir_make(void **state)
{
	(void)state;
	snprintf(key_dir, sizeof(key_dir), "/tmp/imgfs-keys.XXXXXX");
	return mkdtemp(key_dir) ? 0 : -1;
}

static inline int key_dir_remove(void **state)
{
	auto_free char *command = xasprintf("rm -rf '%s'", key_dir);
	(void)state;
	return system(command);
}

/* The caller frees. */
static inline char *key_path(const char *name)
{
	return xasprintf("%s/%s", key_dir, name);
}

static inline EVP_PKEY *key_make(const char *kind)
{
	EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind, (size_t)2048)
			: strncmp(kind, "ED", 2) == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
						      : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	assert_non_null(key);
	return key;
}

static inline void key_write(EVP_PKEY *key, bool private_half, const char *path)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(private_half ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
				      : PEM_write_PUBKEY(file, key),
			 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, private_half ? 0600 : 0644), 0);
}

/* A new key pair as NAME.key and NAME.pem. */
static inline void key_pair(const char *kind, const char *name)
{
	EVP_PKEY *key = key_make(kind);
	auto_free char *secret = xasprintf("%s/%s.key", key_dir, name);
	auto_free char *open_half = xasprintf("%s/%s.pem", key_dir, name);
	key_write(key, true, secret);
	key_write(key, false, open_half);
	EVP_PKEY_free(key);
}

static inline void text_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

#endif
