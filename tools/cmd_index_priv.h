/*
 * cmd_index_priv - what the commands of `imgfs index` share
 */
#ifndef IMGFS_TOOLS_CMD_INDEX_PRIV_H
#define IMGFS_TOOLS_CMD_INDEX_PRIV_H

#include "fetch/image_publish.h"
#include "tools/cli.h"

extern const struct command index_build, index_push, index_pull, index_show, index_dump_command,
	index_verify;

/*
 * index_operand_is_file - whether an operand names an index file and no reference: it begins with
 * "/" or ".", or it is a regular file that exists. A repository of the same name is meant by its
 * full reference.
 */
bool index_operand_is_file(const char *operand);

/* index_layer_of_store, index_image_of_store - the store's index of a layer, or of the merged tree;
 * -ENOENT when it has none. */
err_t index_layer_of_store(struct image *image, size_t layer, struct index **out) must_check;
err_t index_image_of_store(struct image *image, struct index **out) must_check;

/*
 * index_publish - put the image's indexes beside it, or into a layout "oci:DIR", with a line for
 * each part; 0, or an exit status after an error line
 */
int index_publish(const struct command *self, struct image *image, const char *layout,
		  const struct signing_key *key, uint64_t small_layer);

/* index_print_part_head, index_print_part - one published form a line: what it spends on what. */
void index_print_part_head(void);
void index_print_part(const struct publish_part *part, const char *state);

/* index_open_file - 0, or an exit status after an error line. */
int index_open_file(const struct command *self, const char *path, struct index **out);

#endif
