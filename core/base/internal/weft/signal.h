/* weft/signal.h - SIGTERM and SIGINT for weft_server_run(), and only for it.
 *
 * libevent lets the second base steal the first one's signals, so one loop of
 * the process may hold them at a time.  On close the previous handlers are
 * back. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/loop.h>

typedef struct weft__signals weft__signals;
typedef void (*weft__signal_cb)(int signum, void *user);

/* ESTATE: another loop holds them.  ENOTSUP: loop wraps the application's base,
 * and signals are the application's.  ENOMEM. */
weft_status weft__signals_new(weft__signals **out, weft_loop *loop,
                              weft__signal_cb cb, void *user);
/* Before the loop goes; NULL is fine; also in cb.  cb does not run after it. */
void weft__signals_close(weft__signals *s);

#endif /* WEFT_SIGNAL_H */
