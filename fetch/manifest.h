/*
 * manifest - image indexes, manifests and configs as plain values
 *
 * The JSON library stays behind json.h, which the files of this header (manifest*.c) include, and
 * those that read other documents: credentials.c, credential_helper.c, token.c, registry_error.c.
 * Parsing is strict: duplicate keys, depth above 32, type confusion between
 * `layers`, `manifests` and `fsLayers`, and a mediaType that contradicts its header are refused
 * (CVE-2021-41190). Unknown fields are ignored.
 */
#ifndef IMGFS_FETCH_MANIFEST_H
#define IMGFS_FETCH_MANIFEST_H

#include "fetch/source.h"

#define MANIFEST_LAYERS_MAX  512
#define MANIFEST_ENTRIES_MAX 1024 /* descriptors of an image index */

struct platform {
	char os[32], arch[32], variant[32]; /* normalised, lower case; "" when absent */
};
/* platform_parse - "OS/ARCH[/VARIANT]" as typed by the user, normalised. */
err_t platform_parse(const char *text, struct platform *out, struct diag *d) must_check;
/* platform_host - of this machine. */
void platform_host(struct platform *out);
/* platform_rank - how well an offered platform serves a wanted one: 0 best, larger worse, negative:
 * not at all. */
int platform_rank(const struct platform *wanted, const struct platform *offered);
/* platform_text - "linux/arm64/v8" into buf; returns buf. */
const char *platform_text(const struct platform *p, char buf[100]);

struct descriptor {
	struct digest digest;
	uint64_t size;
	char media_type[128];
	bool has_platform; /* an entry of an image index that says which platform it is for */
	struct digest
		artifact; /* such an entry: its published index (ARTIFACT_ANNOTATION), or unset
			   */
};

struct layer_desc {
	struct descriptor desc;
	struct digest diff_id; /* from the config; unset until config_parse */
};

/* What one document turned out to be. */
enum manifest_kind {
	MANIFEST_INDEX,
	MANIFEST_IMAGE,
};

/*
 * manifest_kind_of - decide by content, and refuse what contradicts itself or the media type from
 * the header -ENOTSUP (ERR_UNSUPPORTED): schema1, artifacts. -EBADMSG (ERR_INTEGRITY): no manifest
 * at all.
 */
err_t manifest_kind_of(const struct document *doc, enum manifest_kind *out,
		       struct diag *d) must_check;

/*
 * manifest_choose - the descriptor of an image index that serves a platform best
 * Skips attestations, artifacts and unknown/unknown. -ENOENT (ERR_NOT_FOUND) lists what there is.
 */
err_t manifest_choose(const struct document *index, const struct platform *wanted,
		      struct descriptor *out, struct diag *d) must_check;

struct label {
	char *key, *value; /* either may hold any text, "=" included */
};

struct manifest {
	struct digest artifact; /* the published index that it names (ARTIFACT_ANNOTATION), or unset
				 */
	struct label *annotations; /* sorted by key, ended by a NULL key; those that are no texts
				      are left out; owned */
	char *base_name;	   /* org.opencontainers.image.base.name; NULL: none; owned */
	struct descriptor config;
	struct layer_desc *layers; /* bottom first; owned */
	size_t n_layers;
};
/* manifest_parse - refuses encrypted and unknown layer types, foreign configs, more than
 * MANIFEST_LAYERS_MAX layers. */
err_t manifest_parse(const struct document *doc, struct manifest *out, struct diag *d) must_check;
void manifest_fini(struct manifest *m);
/* manifest_first - the lowest layer with the same blob as this one: what is done for a blob is done
 * for it. Cost: linear in the layers. */
size_t manifest_first(const struct manifest *m, size_t layer);

/* One step that made an image. */
struct history_entry {
	char *created, *created_by, *author, *comment; /* NULL when absent */
	bool empty_layer;			       /* it made no layer */
};

/* The image's config: what `inspect` shows and a runtime needs. Lists are NULL-terminated, never
 * NULL; owned. */
struct image_config {
	struct platform platform;
	char *created, *author, *user, *working_dir, *stop_signal; /* NULL when absent */
	char **env, **entrypoint, **cmd, **exposed_ports, **volumes;
	struct label *labels; /* sorted by key; ended by a NULL key */
	char **shell, **on_build,
		**healthcheck;	       /* of builders and engines; nothing here runs them */
	struct history_entry *history; /* n_history, oldest first */
	size_t n_history;
};
/* config_parse - also fills manifest->layers[].diff_id; -EBADMSG when their numbers differ or
 * rootfs is not "layers". */
err_t config_parse(const struct document *doc, struct manifest *manifest, struct image_config *out,
		   struct diag *d) must_check;
void image_config_fini(struct image_config *c);

/* history_layer - the layer that a step made; SIZE_MAX for one that made none, and for all where
 * their number is not that of the layers. Cost: linear in the steps. */
size_t history_layer(const struct image_config *c, size_t n_layers, size_t step);

#endif
