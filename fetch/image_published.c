/*
 * Published indexes: which one may be used for an image, and making it the image's tree. Whatever
 * is wrong with one, the image can still be indexed here: so nothing in this file fails a mount, it
 * says what it met and goes on without.
 *
 * Where candidates come from, in this order: what the store used last for this manifest; a digest
 * that the user or a verified manifest names; the registry's list of what refers to the manifest.
 */
#include "fetch/image_priv.h"
#include "fetch/log.h"
#include "index/wire.h"

#include <string.h>

#define CANDIDATES_FETCHED_MAX 8 /* manifests that are looked at for one image */
/* How long the form of a tree may take, which is some hundred kilobytes: then indexing the layers
 * here is better than waiting on. */
#define FETCH_TREE_MS	       10000
#define FETCH_TREE_BYTES_PER_S (128u << 10)

/* --- what the store remembers --- */

static char *last_used_name(const struct image *image)
{
	char text[DIGEST_TEXT_MAX];
	return xasprintf("index-of %s", digest_text(&image->digest, text));
}

static char *rejected_name(const struct digest *artifact)
{
	char text[DIGEST_TEXT_MAX];
	return xasprintf("rejected-index %s", digest_text(artifact, text));
}

static bool was_rejected(const struct image *image, const struct digest *artifact)
{
	struct digest unused;
	auto_free char *name = rejected_name(artifact);
	return store_tag_get(image->store, name, &unused) == 0;
}

static void remember(const struct image *image)
{
	auto_free char *name = last_used_name(image);
	err_t err = store_tag_put(image->store, name, &image->artifact_digest);
	if (err)
		log_warn("store.tag_not_kept", "reason=\"%s\"", strerror(-err));
}

void image_reject_index(struct image *image)
{
	/* A tree of our own blames nobody. */
	if (!image->artifact_digest.alg)
		return;
	auto_free char *name = rejected_name(&image->artifact_digest);
	err_t err = store_tag_put(image->store, name, &image->artifact_digest);
	if (err)
		log_warn("store.tag_not_kept", "reason=\"%s\"", strerror(-err));
	store_published_drop(image->store, &image->artifact_digest);
	for (size_t i = 0; i < image->artifact.n_layers; i++)
		store_published_drop(image->store, &image->artifact.layers[i].form.digest);
}

/* --- whether one may be used --- */

static err_t pass_over(const struct digest *artifact, const char *why)
{
	char text[DIGEST_TEXT_MAX];
	log_info("index.passed_over", "index=%s reason=\"%s\"", digest_text(artifact, text), why);
	return -ENOENT;
}

static bool is_bound(const struct image *image, const struct digest *artifact)
{
	const struct digest *named = trust_bound(image->trust);
	return (named && digest_equal(named, artifact)) ||
	       (image->named_artifact.alg && !image->options.ignore_named &&
		digest_equal(&image->named_artifact, artifact));
}

static enum trust_state judge(const struct image *image, const struct artifact *a,
			      const struct digest *digest)
{
	struct statement_signature claims[ARTIFACT_KEYS_MAX];
	auto_buf struct buf statement = {0};
	if (is_bound(image, digest))
		return TRUST_BOUND;
	if (!a->subject.digest.alg || artifact_statement(a, &statement))
		return TRUST_HINT;
	for (size_t i = 0; i < a->n_signatures; i++)
		claims[i] = (struct statement_signature){a->signatures[i].key_id,
							 buf_bytes(&a->signatures[i].bytes)};
	return trust_judge(image->trust, buf_bytes(&statement), claims, a->n_signatures);
}

/* A signature is for one manifest; what is bound may leave its subject out, since a manifest can
 * not name what names it. */
static const char *misfit(const struct image *image, const struct artifact *a,
			  const struct digest *digest)
{
	const struct manifest *m = &image->manifest;
	if (a->subject.digest.alg ? !digest_equal(&a->subject.digest, &image->digest)
				  : !is_bound(image, digest))
		return "it is of another image";
	for (size_t i = 0; i < a->n_layers; i++) {
		size_t k = 0;
		while (k < m->n_layers &&
		       !digest_equal(&m->layers[k].desc.digest, &a->layers[i].layer))
			k++;
		if (k == m->n_layers)
			return "it has a layer that the image has not";
	}
	return NULL;
}

/* Take a manifest whose digest has been compared as the image's published index: 0, -ENOENT. */
static err_t consider(struct image *image, const struct document *doc)
{
	struct artifact a;
	struct diag d = DIAG_INIT;
	if (was_rejected(image, &doc->digest))
		return pass_over(&doc->digest, "it was found to lie");
	if (artifact_parse(doc, &a, &d))
		return pass_over(&doc->digest, d.text);
	const char *why = misfit(image, &a, &doc->digest);
	enum trust_state state = why ? TRUST_HINT : judge(image, &a, &doc->digest);
	if (!why && state == TRUST_HINT && !trust_takes_hints(image->trust)) {
		why = a.n_signatures ? "no trusted key has signed it" : "nothing vouches for it";
		image->untrusted = doc->digest;
	}
	if (why) {
		artifact_fini(&a);
		return pass_over(&doc->digest, why);
	}
	image->artifact = a;
	image->artifact_digest = doc->digest;
	image->trusted = state;
	image->published = true;
	return 0;
}

/* --- where candidates come from --- */

static bool has_digest(const struct document *doc, const struct digest *digest)
{
	struct digest found;
	digest_of(digest->alg, doc->bytes.p, doc->bytes.n, &found);
	return digest_equal(&found, digest);
}

/* A candidate's manifest: carried in the list, in the store, or from the source. */
static err_t get_artifact(struct image *image, const struct digest *digest, struct bytes carried,
			  struct document *out, struct diag *d)
{
	*out = (struct document){.digest = *digest};
	if (carried.n && !buf_append(&out->bytes, carried.p, carried.n) && has_digest(out, digest))
		return 0;
	document_fini(out);
	if (!store_document_get(image->store, digest, out))
		return 0;
	if (!image_may_fetch(image))
		return fail(d, ERR_NOT_FOUND, -ENOENT, "it is not in the store");
	err_t err = source_manifest(image->source, &image->ref, digest, out, d);
	if (!err && !has_digest(out, digest)) {
		document_fini(out);
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "the document has another digest");
	}
	out->digest = *digest;
	return err;
}

static void keep_artifact(struct image *image, struct document *doc)
{
	doc->media_type[0] = '\0'; /* it says itself what it is */
	err_t err = store_document_put(image->store, doc);
	if (err)
		log_warn("store.document_not_kept", "reason=\"%s\"", strerror(-err));
}

/* -ENOENT: not this one; -ECANCELED. */
static err_t try_candidate(struct image *image, const struct digest *digest, struct bytes carried)
{
	struct document doc;
	struct diag d = DIAG_INIT;
	err_t err = get_artifact(image, digest, carried, &doc, &d);
	if (err)
		return err == -ECANCELED ? err : pass_over(digest, d.text);
	err = consider(image, &doc);
	if (!err)
		keep_artifact(image, &doc);
	document_fini(&doc);
	return err;
}

static err_t page_of_candidates(void *arg, struct bytes json, struct diag *d)
{
	return artifact_candidates_add(arg, json, d);
}

static bool is_trusted_key(void *arg, const char *key_id)
{
	const struct trust *trust = arg;
	for (size_t i = 0; i < trust_n_keys(trust); i++)
		if (!strcmp(key_id, public_key_id(trust_key(trust, i))))
			return true;
	return false;
}

static bool claims_trusted_key(const struct image *image, const struct artifact_candidate *c)
{
	for (size_t k = 0; k < c->n_key_ids; k++)
		if (is_trusted_key(image->trust, c->key_ids[k]))
			return true;
	return false;
}

/* The order in which candidates are tried: those that a trusted key may have signed, those that say
 * what they are, the others. Who floods the list can hide an index, never make one be used. */
static int rank_of(const struct image *image, const struct artifact_candidate *c)
{
	return claims_trusted_key(image, c) ? 0 : c->sure ? 1 : 2;
}

static err_t try_candidates(struct image *image, const struct artifact_candidates *c)
{
	unsigned tried = 0;
	for (int rank = 0; rank < 3; rank++)
		for (size_t i = 0; i < c->n && tried < CANDIDATES_FETCHED_MAX; i++) {
			const struct artifact_candidate *one = &c->list[i];
			if (rank_of(image, one) != rank)
				continue;
			/* Only worth a word: nothing the user chose could make it usable. */
			if (!trust_looks(image->trust)) {
				if (one->sure)
					image->untrusted = one->digest;
				continue;
			}
			tried++;
			err_t err = try_candidate(image, &one->digest, buf_bytes(&one->manifest));
			if (err != -ENOENT)
				return err;
		}
	return -ENOENT;
}

static err_t find_referrer(struct image *image)
{
	struct artifact_candidates c = {.wants = is_trusted_key, .wants_arg = image->trust};
	struct diag d = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	err_t err = source_referrers(image->source, &image->ref, &image->digest, ARTIFACT_TYPE,
				     page_of_candidates, &c, &d);
	if (err && err != -ECANCELED)
		log_info("index.none", "image=%s reason=\"%s\"", digest_text(&image->digest, text),
			 d.text);
	if (!err || (err != -ECANCELED && c.n))
		err = try_candidates(image, &c);
	if (err == -ENOENT && !c.n)
		log_info("index.none", "image=%s reason=\"%s\"", digest_text(&image->digest, text),
			 c.other_version ? "the published index is of another version of imgfs"
					 : "none that this version of imgfs reads is published");
	artifact_candidates_fini(&c);
	return err;
}

static err_t find_last_used(struct image *image)
{
	auto_free char *name = last_used_name(image);
	const struct digest *named = trust_bound(image->trust);
	struct digest last;
	struct document doc;
	if (store_tag_get(image->store, name, &last) || (named && !digest_equal(named, &last)) ||
	    store_document_get(image->store, &last, &doc))
		return -ENOENT;
	err_t err = consider(image, &doc);
	document_fini(&doc);
	return err;
}

static err_t find(struct image *image)
{
	const struct digest *named = trust_bound(image->trust);
	err_t err = find_last_used(image);
	if (err == -ENOENT && named)
		return try_candidate(image, named, (struct bytes){0});
	if (err == -ENOENT && image->named_artifact.alg && !image->options.ignore_named)
		err = try_candidate(image, &image->named_artifact, (struct bytes){0});
	if (err == -ENOENT && image_may_fetch(image))
		err = find_referrer(image);
	return err;
}

/* An image that is here needs nobody's word. */
static bool is_indexed(const struct image *image)
{
	struct digest key;
	image_key(image, &key);
	return store_index_there(image->store, INDEX_IMAGE, &key);
}

err_t image_find_index(struct image *image, struct diag *d)
{
	if (!image->options.find_index || trust_refuses(image->trust) ||
	    (!image->options.find_always && is_indexed(image)))
		return 0;
	err_t err = find(image);
	if (err == -ECANCELED)
		return fail(d, ERR_OTHER, err, "interrupted");
	return 0;
}

/* --- using it --- */

static err_t fetch_tree(struct image *image, struct buf *form, struct diag *d)
{
	const struct descriptor *tree = &image->artifact.tree;
	int64_t deadline_ms =
		now_ms() + FETCH_TREE_MS + (int64_t)(tree->size * 1000 / FETCH_TREE_BYTES_PER_S);
	return image_fetch_part(image, tree, "its tree", deadline_ms, form, d);
}

/* What a head says of its layer is what manifest and artifact say. */
static err_t check_head(const struct image *image, const struct index *tree, uint32_t layer,
			struct diag *d)
{
	const struct layer_desc *want = &image->manifest.layers[layer];
	struct index_layer_head at;
	struct index_layer merged;
	struct wire_head *head;
	if (!index_layer_head(tree, layer, &at))
		return 0;
	err_t err = wire_head_parse(at.head, &head, d);
	if (err)
		return err;
	index_layer(tree, layer, &merged);
	bool fits = digest_equal(&head->info.blob_digest, &want->desc.digest) &&
		    head->info.blob_size == want->desc.size &&
		    digest_equal(&head->info.diff_id, &want->diff_id) &&
		    head->info.stream_size == merged.stream_size && head->form_len == at.form_len;
	wire_head_free(&head);
	for (size_t i = 0; i < image->artifact.n_layers; i++) {
		const struct artifact_layer *named = &image->artifact.layers[i];
		if (fits && digest_equal(&named->layer, &want->desc.digest) &&
		    digest_equal(&named->form.digest, &at.form) && named->form.size == at.form_len)
			return 0;
	}
	return fail(d, ERR_INTEGRITY, -EBADMSG, "its layers contradict each other");
}

/* A blob that is listed twice is one layer for readers: what is said of it must be the same. */
static bool twins_agree(const struct image *image, const struct index *tree, uint32_t layer)
{
	uint32_t first = (uint32_t)manifest_first(&image->manifest, layer);
	struct index_layer a, b;
	struct index_layer_head x, y;
	index_layer(tree, first, &a);
	index_layer(tree, layer, &b);
	(void)index_layer_head(tree, first, &x);
	(void)index_layer_head(tree, layer, &y);
	return a.stream_size == b.stream_size && digest_equal(&x.form, &y.form) &&
	       bytes_equal(x.head, y.head);
}

static err_t check_tree(const struct image *image, const struct index *tree, struct diag *d)
{
	if (!image_tree_agrees(image, tree))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "its layers are not the image's");
	err_t err = 0;
	for (uint32_t i = 0; i < image->manifest.n_layers; i++)
		if (!twins_agree(image, tree, i))
			return fail(d, ERR_INTEGRITY, -EBADMSG, "it says two things of one layer");
	for (uint32_t i = 0; i < image->manifest.n_layers && !err; i++)
		err = check_head(image, tree, i, d);
	return err;
}

/* Unpacked, proved, and put into the store; *file keeps the bytes if that fails. */
static err_t unpack_tree(struct image *image, struct bytes form, struct buf *file,
			 struct index **out, struct diag *d)
{
	struct index *tree = NULL;
	err_t err = wire_image_decode(form, file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(file), &tree, d);
	if (!err)
		err = check_tree(image, tree, d);
	if (err) {
		index_close(&tree);
		return err;
	}
	*out = tree;
	err_t kept =
		store_published_index_put(image->store, &image->artifact_digest, buf_bytes(file));
	if (!kept &&
	    !store_published_index_get(image->store, INDEX_IMAGE, &image->artifact_digest, out)) {
		index_close(&tree);
		buf_fini(file);
	} else if (kept) {
		log_warn("store.index_not_kept", "reason=\"%s\" next=memory", strerror(-kept));
	}
	return 0;
}

/* The tree of the published index in hand, if it was unpacked before. */
static err_t load_tree(struct image *image, struct diag *d)
{
	struct index *tree = NULL;
	if (store_published_index_get(image->store, INDEX_IMAGE, &image->artifact_digest, &tree))
		return -ENOENT;
	if (check_tree(image, tree, d)) {
		index_close(&tree);
		return -ENOENT;
	}
	image->tree = tree;
	return 0;
}

err_t image_peek_tree(struct image *image)
{
	struct diag d = DIAG_INIT;
	BUG_ON(image->tree);
	if (!image_load_tree(image))
		return 0;
	return image->published ? load_tree(image, &d) : -ENOENT;
}

static err_t get_tree(struct image *image, struct diag *d)
{
	auto_buf struct buf form = {0};
	if (!load_tree(image, d))
		return 0;
	err_t err = fetch_tree(image, &form, d);
	if (err)
		return err;
	err = unpack_tree(image, buf_bytes(&form), &image->tree_file, &image->tree, d);
	if (err)
		buf_fini(&image->tree_file);
	/* What matches its digest and is wrong all the same was published wrong. */
	if (err == -EBADMSG)
		image_reject_index(image);
	return err;
}

/* Minutes of streaming are about to begin that one word of the user would save. */
static void say_untrusted(const struct image *image)
{
	char text[DIGEST_TEXT_MAX];
	if (!image->untrusted.alg)
		return;
	/* A layout is streamed from a disk: not worth interrupting anybody. */
	log_event(image->ref.kind == REF_REGISTRY ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		  "index.untrusted",
		  "index=%s next=\"the layers are indexed here; --trust-key, --index=DIGEST or "
		  "--trust-index=any would use it\"",
		  digest_text(&image->untrusted, text));
}

/* The index in hand is of no use: is there another? */
static err_t look_further(struct image *image, const char *why, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	log_warn("index.unusable", "index=%s reason=\"%s\"",
		 digest_text(&image->artifact_digest, text), why);
	bool rejected = was_rejected(image, &image->artifact_digest);
	image->published = false;
	artifact_fini(&image->artifact);
	return rejected ? image_find_index(image, d) : 0;
}

err_t image_use_index(struct image *image, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	err_t err = -ENOENT;
	for (unsigned i = 0; err && image->published && i < CANDIDATES_FETCHED_MAX; i++) {
		struct diag why = DIAG_INIT;
		err = get_tree(image, &why);
		if (err == -ECANCELED)
			return fail(d, ERR_OTHER, err, "interrupted");
		if (err && look_further(image, why.text, d))
			return -ECANCELED;
	}
	if (err) {
		image->published = false;
		say_untrusted(image);
		return 0;
	}
	log_info("index.used", "index=%s trust=%s", digest_text(&image->artifact_digest, text),
		 trust_state_name(image->trusted));
	remember(image);
	return 0;
}
