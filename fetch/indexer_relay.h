/*
 * indexer_relay - what a chunker says, handed to a receiver on a thread of its own
 *
 * The sink to give to the chunker writes all it is told into batches; the relay's thread reads them
 * to the receiver, in order. The writer waits where it is RELAY_BATCHES ahead, so the two together
 * need a few MiB, whatever the layer. `inner` and the data of chunks are not passed on.
 */
#ifndef IMGFS_FETCH_INDEXER_RELAY_H
#define IMGFS_FETCH_INDEXER_RELAY_H

#include "index/chunker.h"

struct relay;

/* relay_sink - for the chunker; its argument is the relay. Errors: the receiver's, a little later,
 * and -ENOMEM. */
extern const struct chunker_sink relay_sink;

/* relay_new - start the thread that reads to the receiver; NULL when none can be made. */
struct relay *relay_new(const struct chunker_sink *to, void *arg);

/*
 * relay_end - nothing follows: wait until the receiver has taken all, and end the thread
 * Returns the receiver's first error; what it was told afterwards is dropped. What the receiver
 * said no to came before anything that may have gone wrong at the writer since.
 */
err_t relay_end(struct relay *r, struct diag *d) must_check;
/* relay_free - ends it where relay_end has not. */
void relay_free(struct relay **r);

#endif
