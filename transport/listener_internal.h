/* listener_internal.h - the inside of a listener: listener.c (binding,
 * accepting, stopping) and undecided.c (sockets whose protocol is not known).
 */
#ifndef WEFT_LISTENER_INTERNAL_H
#define WEFT_LISTENER_INTERNAL_H

#include "inproc_internal.h"
#include <event2/event.h>
#include <sys/stat.h>
#include <weft/listener.h>
#include <weft/log.h>
#include <weft/timer.h>

/* An accepted socket until it is known what it speaks.  Its bytes are consumed,
 * not peeked at, so an undecided one does not wake the loop again and again. */
typedef struct weft__undecided weft__undecided;
struct weft__undecided {
    weft__undecided *next, **pprev;
    weft__listener *listener;
    struct event *event; /* behind this struct */
    weft_timer timer;
    union { /* a weft_address is four times as big, and there may be many */
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } peer;
    socklen_t peer_len; /* 0: the listener's own address stands for it */
    int fd;
    bool armed;
    bool refused; /* has been told so: what it still sends is discarded */
    uint32_t discarded;
    uint8_t len;
    uint8_t bytes[32];
};

struct weft__listener {
    weft_loop *loop;
    weft__listener_conf conf;
    const weft__listener_handler *handler;
    void *user;
    weft_address address;

    int fd;              /* -1: inproc, or stopped */
    int reserve_fd;      /* spent to refuse a connection when none is left */
    struct event *event; /* behind this struct */
    bool armed, held, closed, stepping;
    weft_timer sleep; /* after EMFILE */
    weft__inproc *inproc;
    bool bound; /* a unix socket whose file is ours */
    dev_t dev;
    ino_t ino;

    weft__undecided *undecided;               /* being sniffed, or refused */
    weft__undecided *waiting, **waiting_tail; /* native, while held */
    weft__deferred step; /* hands over those that waited; frees at last */
    size_t count;
    weft_log_limit full_limit, fd_limit;
};

/* Takes fd.  Counts it as one of the listener's. */
void weft__undecided_add(weft__listener *l, int fd, const weft_address *peer);

/* Hands the next waiting one over; false when none waits. */
bool weft__undecided_hand_over_next(weft__listener *l);

void weft__undecided_close_all(weft__listener *l);

#endif /* WEFT_LISTENER_INTERNAL_H */
