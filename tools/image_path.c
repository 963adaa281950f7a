/*
 * The schemes that imgfs reads have a colon, and perhaps slashes, of their own, which are passed
 * over: behind them only the path follows a colon with a slash.
 */
#include "tools/image_path.h"

#include <string.h>

static size_t scheme_len(const char *text)
{
	static const char *const schemes[] = {"docker://", "oci:"};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (!strncmp(text, schemes[i], strlen(schemes[i])))
			return strlen(schemes[i]);
	return 0;
}

bool image_path_split(const char *text, char **reference, const char **path)
{
	const char *rest = text + scheme_len(text), *colon = strstr(rest, ":/");
	if (!colon || colon == rest)
		return false;
	*reference = xstrndup(text, (size_t)(colon - text));
	*path = colon + 1;
	return true;
}
