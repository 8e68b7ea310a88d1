/* inproc_internal.h - listeners that are found by name within the process.
 *
 * Connecting makes a socket pair and posts one end to the loop of the listener
 * of that name, which may be another thread's.  The registry is locked: it is
 * touched by opening, closing and connecting only. */
#ifndef WEFT_INPROC_INTERNAL_H
#define WEFT_INPROC_INTERNAL_H

#include <weft/loop_internal.h>

typedef struct weft__inproc weft__inproc; /* one name that is listened on */

/* Runs on the listener's loop; takes fd. */
typedef void (*weft__inproc_cb)(int fd, void *user);

/* Copies name.  EEXIST: the name is taken; EADDR: it is empty or too long. */
weft_status weft__inproc_listen(weft__inproc **out, weft_loop *loop,
                                const char *name, uint32_t backlog,
                                weft__inproc_cb cb, void *user);

/* Takes inproc (NULL is fine).  cb does not run any more: what was connected
 * and not accepted is closed. */
void weft__inproc_close(weft__inproc *inproc);

/* Gives a connected descriptor.  ECONNREFUSED: nobody listens, or the backlog
 * is full; ELIMIT: no descriptor left; ENOMEM. */
weft_status weft__inproc_connect(const char *name, int *fd);

#endif /* WEFT_INPROC_INTERNAL_H */
