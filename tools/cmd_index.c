/*
 * imgfs index: the precomputed index as a thing of its own. Here: the table of its commands, and
 * how they find what they work on.
 */
#include "index/merge.h"
#include "tools/cmd_index_priv.h"

#include <sys/stat.h>

bool index_operand_is_file(const char *operand)
{
	struct stat st;
	if (operand[0] == '/' || operand[0] == '.')
		return true;
	return stat(operand, &st) == 0 && S_ISREG(st.st_mode);
}

err_t index_layer_of_store(struct image *image, size_t layer, struct index **out)
{
	BUG_ON(layer >= image->manifest.n_layers);
	return store_index_get(image->store, INDEX_LAYER,
			       &image->manifest.layers[layer].desc.digest, out);
}

err_t index_image_of_store(struct image *image, struct index **out)
{
	size_t n = image->manifest.n_layers;
	struct digest key;
	auto_free struct digest *layers = xcalloc(n ? n : 1, sizeof(*layers));
	for (size_t i = 0; i < n; i++)
		layers[i] = image->manifest.layers[i].desc.digest;
	image_key_of(layers, n, &key);
	return store_index_get(image->store, INDEX_IMAGE, &key, out);
}

int index_open_file(const struct command *self, const char *path, struct index **out)
{
	struct diag d = DIAG_INIT;
	err_t err = index_open(path, out, &d);
	if (!err)
		return 0;
	if (err == -ENOENT)
		(void)fail(&d, ERR_NOT_FOUND, err, "%s: no such file", path);
	return cli_fail(self, &d);
}

static const struct command *const commands[] = {
	&index_build,	     &index_push,   &index_pull, &index_show,
	&index_dump_command, &index_verify, NULL,
};

static int run(const struct command *self, int argc, char **argv)
{
	return cli_dispatch(self, commands, argc, argv);
}

const struct command cmd_index = {
	.name = "index",
	.synopsis = "build|push|pull|show|dump|verify ...",
	.summary = "Build, publish, fetch, show and check the indexes of an image",
	.run = run,
};
