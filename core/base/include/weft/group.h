/* weft/group.h - several loops in one process, each on a thread of its own.
 *
 * The first loop is the caller's, and runs where the caller runs it; the group
 * starts a thread for each of the others.  Nothing is shared between loops: a
 * server or a channel that is made on a group has a part on each loop.  All
 * functions here belong to the first loop's thread; what lives on another loop
 * is reached through weft_loop_post(). */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/loop.h>

WEFT_BEGIN_DECLS

typedef struct weft_group weft_group;

#define WEFT_GROUP_MAX 64

/* Makes a group of n loops (0: one for each CPU), of which loop, which is
 * borrowed, is the first; the others are made with conf (may be NULL; its clock
 * is read by several threads) and run when this returns.  Their threads block
 * all signals.  Gives *out: weft_group_free(); a group that is left when its
 * first loop ends goes with it.  EINVAL (n is over WEFT_GROUP_MAX), ENOMEM,
 * ECLOSED, ELIMIT (256 loops, or no more threads), EIO. */
#define weft_group_new(out, loop, n, ... /* conf */)                           \
    weft_group_new_sized(out, loop, n, __VA_ARGS__, sizeof(weft_loop_conf))
WEFT_API weft_status weft_group_new_sized(weft_group **out, weft_loop *loop,
                                          size_t n, const weft_loop_conf *conf,
                                          size_t conf_size);

WEFT_API size_t weft_group_size(const weft_group *group); /* NULL: 0 */

/* The i-th loop; NULL when there is none.  Borrowed until the group ends, for
 * weft_loop_post() alone unless i is 0.  The group runs it and closes it. */
WEFT_API weft_loop *weft_group_loop(const weft_group *group, size_t i);

/* Which of the group's loops is this thread's: from any thread, also in a
 * handler.  -1: none. */
WEFT_API int weft_group_here(const weft_group *group);

/* Takes group (NULL is fine; also in a callback of the first loop): closes its
 * further loops, with all that lives on them as weft_loop_close() says, and
 * waits for their threads.  The first loop stays.  Drain servers before. */
WEFT_API void weft_group_free(weft_group *group);

WEFT_END_DECLS

#endif /* WEFT_GROUP_H */
