/*
 * Any text as a reference: it ends with an error or with parts that are safe in a URL and a header,
 * and the expanded form is read back as the same reference.
 */
#include "fetch/ref.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(const char *s)
{
	for (; s && *s; s++)
		BUG_ON((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f ||
		       strchr("?#%@\\", *s));
}

static void check_registry(const struct ref *ref)
{
	check_safe(ref->host);
	check_safe(ref->repo);
	check_safe(ref->tag);
	BUG_ON(!ref->host || !ref->repo || (!ref->tag && !ref->digest.alg));
	BUG_ON(strstr(ref->repo, "..") || strstr(ref->repo, "//") || ref->repo[0] == '/');
	(void)ref_host_is_loopback(ref->host);
	check_safe(ref_api_host(ref));
}

static void check_text(const struct ref *ref)
{
	struct ref again;
	char *text = ref_text(ref);
	/* only a reference near the length limit may grow beyond it */
	if (strlen(text) <= REF_TEXT_MAX) {
		BUG_ON(ref_parse(text, &again, NULL));
		char *text_again = ref_text(&again);
		BUG_ON(strcmp(text, text_again) != 0 || !digest_equal(&ref->digest, &again.digest));
		free(text_again);
		ref_fini(&again);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag d = DIAG_INIT;
	struct ref ref;
	char *text = xcalloc(size + 1, 1);
	if (size)
		memcpy(text, data, size);
	if (ref_parse(text, &ref, &d) == 0) {
		if (ref.kind == REF_REGISTRY)
			check_registry(&ref);
		check_text(&ref);
		ref_fini(&ref);
	} else {
		BUG_ON(!d.text[0] || ref.host || ref.dir);
	}
	free(text);
	return 0;
}
