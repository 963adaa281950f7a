/*
 * Interning by open addressing over (offset, length) pairs. The order of the bytes is the order of
 * first use, so equal input gives equal sections.
 */
#include "index/intern.h"

#include <string.h>
#include <xxhash.h>

struct intern_slot {
	uint32_t off;
	uint32_t len_plus_1; /* 0: free */
};

static struct intern_slot *slot_find(const struct intern *in, struct bytes b)
{
	size_t mask = in->n_slots - 1, i = XXH3_64bits_withSeed(b.p, b.n, hash_seed()) & mask;
	for (;; i = (i + 1) & mask) {
		struct intern_slot *s = &in->slots[i];
		if (!s->len_plus_1)
			return s;
		struct bytes held = {in->data.p + s->off, s->len_plus_1 - 1};
		if (bytes_equal(held, b))
			return s;
	}
}

static err_t slots_grow(struct intern *in)
{
	if (in->n_used * 2 < in->n_slots)
		return 0;
	struct intern_slot *old = in->slots;
	size_t n_old = in->n_slots, n_new = max_of(n_old * 2, (size_t)256);
	struct intern_slot *slots = calloc(n_new, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	in->slots = slots;
	in->n_slots = n_new;
	for (size_t i = 0; i < n_old; i++)
		if (old[i].len_plus_1)
			*slot_find(in, (struct bytes){in->data.p + old[i].off,
						      old[i].len_plus_1 - 1}) = old[i];
	free(old);
	return 0;
}

err_t intern_add(struct intern *in, struct bytes b, uint32_t *off)
{
	err_t err = slots_grow(in);
	if (err)
		return err;
	struct intern_slot *s = slot_find(in, b);
	if (!s->len_plus_1) {
		if (b.n >= UINT32_MAX || in->data.n > UINT32_MAX - b.n)
			return -E2BIG;
		uint32_t at = (uint32_t)in->data.n;
		err = buf_append(&in->data, b.p, b.n);
		if (err)
			return err;
		*s = (struct intern_slot){at, (uint32_t)b.n + 1};
		in->n_used++;
	}
	*off = s->off;
	return 0;
}

void intern_fini(struct intern *in)
{
	buf_fini(&in->data);
	free(in->slots);
	*in = (struct intern){0};
}
