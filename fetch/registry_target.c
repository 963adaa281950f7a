/*
 * Redirect targets. A registry that keeps its blobs elsewhere answers each blob request with a
 * signed URL that is good for minutes. It is kept per blob until shortly before it expires, so that
 * a range costs one round trip, not two; while one caller asks for it, the others wait. The URL is
 * a secret: it is never logged or written anywhere.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <string.h>

#define TARGETS_MAX 1024 /* twice the layers an image may have */

struct blob_target {
	struct blob_target *next;
	struct digest blob;
	char *url;	       /* NULL: the registry serves the blob itself */
	int64_t good_until_ms; /* 0: not known */
	bool busy;	       /* somebody is asking the registry */
};

static void forget(struct blob_target *target)
{
	free(target->url);
	target->url = NULL;
	target->good_until_ms = 0;
}

static struct blob_target *find_locked(struct registry *r, const struct digest *blob)
{
	for (struct blob_target *at = r->targets; at; at = at->next)
		if (digest_equal(&at->blob, blob))
			return at;
	return NULL;
}

/* NULL when the table is full: the blob then goes through the registry each time. */
static struct blob_target *find_or_add_locked(struct registry *r, const struct digest *blob)
{
	struct blob_target *target = find_locked(r, blob);
	if (target || r->n_targets == TARGETS_MAX)
		return target;
	target = new_of(struct blob_target);
	target->blob = *blob;
	target->next = r->targets;
	r->targets = target;
	r->n_targets++;
	return target;
}

err_t registry_target_get(struct registry *r, const struct digest *blob, int64_t deadline_ms,
			  char **url, bool *leader, struct diag *d)
{
	err_t err = 0;
	*url = NULL;
	*leader = false;
	pthread_mutex_lock(&r->lock);
	struct blob_target *target = find_or_add_locked(r, blob);
	while (target && target->busy && !r->interrupted && now_ms() < deadline_ms)
		registry_wait_locked(r, deadline_ms);
	if (r->interrupted) {
		err = fail(d, ERR_NETWORK, -ECANCELED, "%s: interrupted", r->base.label);
	} else if (target && target->busy) {
		err = fail(d, ERR_NETWORK, -ETIMEDOUT, "%s: no answer within the time allowed",
			   r->base.label);
	} else if (target && now_ms() < target->good_until_ms) {
		*url = target->url ? xstrdup(target->url) : NULL;
	} else if (target) {
		forget(target);
		target->busy = *leader = true;
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

static void end_flight_locked(struct registry *r, struct blob_target *target)
{
	target->busy = false;
	pthread_cond_broadcast(&r->changed);
}

void registry_target_put(struct registry *r, const struct digest *blob, const char *url,
			 int64_t life_ms)
{
	pthread_mutex_lock(&r->lock);
	struct blob_target *target = find_locked(r, blob);
	if (target) {
		forget(target);
		target->url = url ? xstrdup(url) : NULL;
		target->good_until_ms = life_ms > 0 ? now_ms() + life_ms : 0;
		end_flight_locked(r, target);
	}
	pthread_mutex_unlock(&r->lock);
}

void registry_target_give_up(struct registry *r, const struct digest *blob)
{
	pthread_mutex_lock(&r->lock);
	struct blob_target *target = find_locked(r, blob);
	if (target)
		end_flight_locked(r, target);
	pthread_mutex_unlock(&r->lock);
}

void registry_target_drop(struct registry *r, const struct digest *blob, const char *url)
{
	pthread_mutex_lock(&r->lock);
	struct blob_target *target = find_locked(r, blob);
	if (target && target->url && strcmp(target->url, url) == 0)
		forget(target);
	pthread_mutex_unlock(&r->lock);
}

void registry_targets_free(struct registry *r)
{
	while (r->targets) {
		struct blob_target *target = r->targets;
		r->targets = target->next;
		forget(target);
		free(target);
	}
}
