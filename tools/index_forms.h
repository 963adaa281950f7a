/*
 * index_forms - what an image's indexes take when they travel
 */
#ifndef IMGFS_TOOLS_INDEX_FORMS_H
#define IMGFS_TOOLS_INDEX_FORMS_H

#include "fetch/image_publish.h"

/* The published form of one layer, or of the merged tree; sizes.total 0: there is none. */
struct form {
	struct digest digest;
	struct wire_sizes sizes;
	bool is_tree;
	bool groups_only; /* rows and windows are known together only, in sizes.rows */
};

struct forms {
	struct form *layers; /* by layer; a blob that is listed twice has its form at the first */
	struct form tree;
	uint64_t total; /* of all forms */
	uint64_t blobs; /* of the image's layers, each blob once */
};

/*
 * forms_load - of each layer: packed from the store's index, else as the published index says
 * Layers smaller than SMALL_LAYER_DEFAULT are not published. forms_fini also after an error. Cost:
 * zstd level 19 over the windows and trees of what the store has, and a look at the published
 * index.
 */
err_t forms_load(struct image *image, struct forms *out, struct diag *d) must_check;
void forms_fini(struct forms *forms);

#endif
