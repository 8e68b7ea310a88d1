/* listener.c - binds, accepts, stops. */
#include "listener_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

enum {
    SLEEP_MS = 100,       /* after EMFILE */
    STOP_ACCEPTS = 65536, /* a bound for a backlog that does not end */
    HAND_OVERS_PER_BATCH = 64
};

/* ---- accepting ---- */

static void admit(weft__listener *l, int fd, const weft_address *peer)
{
    if (l->count >= l->conf.max_connections) {
        (void)close(fd);
        weft_log_limited(&l->full_limit, WEFT_LOG_WARN, "connection refused",
                         "reason=max_connections limit=%u",
                         l->conf.max_connections);
        return;
    }
    weft__socket_tune(fd, peer);
    weft__undecided_add(l, fd, peer);
}

static void rest(weft__listener *l)
{
    if (l->armed)
        event_del(l->event);
    l->armed = false;
    weft_timer_start(&l->sleep, SLEEP_MS);
}

static void wake(weft__listener *l)
{
    if (l->fd < 0 || l->armed)
        return;
    if (event_add(l->event, NULL) == 0)
        l->armed = true;
    else
        rest(l);
}

static void on_slept(weft_timer *timer, void *user)
{
    (void)timer;
    wake(user);
}

static void take_reserve(weft__listener *l)
{
    if (l->reserve_fd < 0)
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is left.  The peer learns it now instead of waiting in a
 * backlog that nobody empties: the reserve is spent on accepting and closing
 * it. */
static bool refuse_one(weft__listener *l, int err)
{
    int fd;

    weft_log_limited(&l->fd_limit, WEFT_LOG_ERROR, "accept failed",
                     "error=\"%s\" connections=%zu", weft__errno_text(err),
                     l->count);
    if (l->reserve_fd < 0)
        return false;
    (void)close(l->reserve_fd);
    l->reserve_fd = -1;
    fd = weft__sys_accept(l->fd, NULL, NULL);
    if (fd >= 0)
        (void)close(fd);
    take_reserve(l);
    return fd >= 0;
}

typedef enum accepted {
    ACCEPTED_ONE,
    ACCEPTED_NONE, /* the backlog is empty */
    ACCEPTED_SHORT /* of descriptors or memory */
} accepted;

static accepted accept_one(weft__listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    weft_address peer;
    int fd = weft__sys_accept(l->fd, (struct sockaddr *)&sa, &len);

    if (fd < 0) {
        switch (errno) {
        case EAGAIN:
            return ACCEPTED_NONE;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return ACCEPTED_SHORT;
        default: /* it was gone before we came, or some such thing */
            return ACCEPTED_ONE;
        }
    }
    /* A client's unix socket has no name; ours tells more. */
    if (l->address.kind != WEFT_ADDRESS_TCP ||
        weft_address_from_sockaddr(&peer, (struct sockaddr *)&sa, len) !=
            WEFT_OK)
        peer = l->address;
    admit(l, fd, &peer);
    return ACCEPTED_ONE;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    weft__listener *l = arg;
    weft_loop *loop = l->loop;

    (void)fd;
    (void)what;
    weft__loop_enter(loop, "listener");
    take_reserve(l);
    for (uint32_t i = 0; i < l->conf.accepts_per_wakeup; i++) {
        accepted result = accept_one(l);

        if (result == ACCEPTED_NONE)
            break;
        if (result == ACCEPTED_SHORT) {
            (void)refuse_one(l, errno);
            rest(l);
            break;
        }
    }
    weft__loop_leave(loop);
}

static void on_inproc(int fd, void *user)
{
    weft__listener *l = user;

    weft__loop_enter(l->loop, "listener");
    admit(l, fd, &l->address);
    weft__loop_leave(l->loop);
}

/* ---- opening ---- */

/* Whether somebody accepts there; a full backlog is somebody. */
static bool somebody_listens(const weft_address *address)
{
    int fd = weft__sys_socket(AF_UNIX, SOCK_STREAM);
    bool yes = true;

    if (fd < 0)
        return true;
    if (connect(fd, &address->u.sa, address->len) != 0)
        yes = errno != ECONNREFUSED;
    (void)close(fd);
    return yes;
}

static bool remove_stale(const weft_address *address)
{
    struct stat st;

    return address->kind == WEFT_ADDRESS_UNIX &&
           lstat(address->u.un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
           !somebody_listens(address) && unlink(address->u.un.sun_path) == 0;
}

/* 0 or an errno. */
static int bind_to(weft__listener *l)
{
    const weft_address *a = &l->address;

    if (bind(l->fd, &a->u.sa, a->len) == 0)
        return 0;
    if (errno == EADDRINUSE && remove_stale(a) &&
        bind(l->fd, &a->u.sa, a->len) == 0)
        return 0;
    return errno != 0 ? errno : EADDRINUSE;
}

static int learn_address(weft__listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct stat st;

    if (l->address.kind == WEFT_ADDRESS_UNIX) {
        if (lstat(l->address.u.un.sun_path, &st) == 0) {
            l->bound = true;
            l->dev = st.st_dev;
            l->ino = st.st_ino;
        }
        return 0;
    }
    if (getsockname(l->fd, (struct sockaddr *)&sa, &len) != 0)
        return errno;
    (void)weft_address_from_sockaddr(&l->address, (struct sockaddr *)&sa, len);
    return 0;
}

/* Makes the socket and binds it. */
static int bind_socket(weft__listener *l, bool tcp, bool share)
{
    int on = 1, err = 0;

    l->fd = weft__sys_socket(l->address.u.sa.sa_family, SOCK_STREAM);
    if (l->fd < 0)
        return errno;
    weft__socket_tune(l->fd, &l->address); /* what it accepts too */
    if (tcp && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        err = errno;
#ifdef SO_REUSEPORT
    if (err == 0 && share &&
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        err = errno;
#else
    (void)share;
#endif
    return err == 0 ? bind_to(l) : err;
}

static weft_status open_socket(weft__listener *l, const char **why)
{
    bool tcp = l->address.kind == WEFT_ADDRESS_TCP;
    int err = 0, backlog = (int)(l->conf.backlog & 0x7fffffff);

    /* Sockets that share an address would share it with another process's too,
     * and nobody would notice that a program runs twice. */
    if (tcp && l->conf.exclusive && weft_address_port(&l->address) != 0) {
        err = bind_socket(l, tcp, false);
        if (err == 0) {
            (void)close(l->fd);
            l->fd = -1;
        }
    }
    if (err == 0)
        err = bind_socket(l, tcp, tcp && l->conf.reuse_port);
    if (err == 0)
        err = learn_address(l);
    if (err == 0 && listen(l->fd, backlog) != 0)
        err = errno;
    if (err == 0) {
        event_assign(l->event, weft_loop_base(l->loop), l->fd,
                     EV_READ | EV_PERSIST, on_acceptable, l);
        if (event_add(l->event, NULL) != 0)
            err = ENOMEM;
        else
            l->armed = true;
    }
    if (err == 0) {
        take_reserve(l);
        return WEFT_OK;
    }
    *why = weft__errno_text(err);
    switch (err) {
    case EMFILE:
    case ENFILE:
        return WEFT_ELIMIT;
    case ENOMEM:
        return WEFT_ENOMEM;
    default:
        return WEFT_EADDR;
    }
}

static weft_status open_inproc(weft__listener *l, const char **why)
{
    weft_status status =
        weft__inproc_listen(&l->inproc, l->loop, l->address.u.un.sun_path,
                            l->conf.backlog, on_inproc, l);

    if (status == WEFT_EEXIST) {
        *why = weft__errno_text(EADDRINUSE);
        return WEFT_EADDR;
    }
    if (status != WEFT_OK)
        *why = weft_status_text(status);
    return status;
}

weft_status weft__listener_open(weft__listener **out, weft_loop *loop,
                                const char *uri,
                                const weft__listener_conf *conf,
                                const weft__listener_handler *handler,
                                void *user, const char **why)
{
    size_t offset = (sizeof(weft__listener) + 15) & ~(size_t)15;
    weft_address address;
    weft__listener *l;
    const char *reason = NULL;
    weft_status status = weft_address_parse(&address, uri, &reason);

    if (status == WEFT_OK) {
        l = weft_calloc(1, offset + event_get_struct_event_size());
        if (l == NULL) {
            reason = weft_status_text(WEFT_ENOMEM);
            status = WEFT_ENOMEM;
        }
    }
    if (status != WEFT_OK) {
        if (why != NULL)
            *why = reason;
        return status;
    }
    l->loop = loop;
    l->conf = *conf;
    l->handler = handler;
    l->user = user;
    l->address = address;
    l->fd = l->reserve_fd = -1;
    l->event = (struct event *)(void *)((uint8_t *)l + offset);
    l->held = true;
    l->waiting_tail = &l->waiting;
    weft_timer_init(&l->sleep, loop, on_slept, l);
    status = address.kind == WEFT_ADDRESS_INPROC ? open_inproc(l, &reason)
                                                 : open_socket(l, &reason);
    if (status != WEFT_OK) {
        weft__listener_close(l);
        if (why != NULL)
            *why = reason;
        return status;
    }
    *out = l;
    return WEFT_OK;
}

const weft_address *weft__listener_address(const weft__listener *l)
{
    return &l->address;
}

/* ---- later ---- */

static void on_step(void *arg)
{
    weft__listener *l = arg;
    int n = 0;

    l->stepping = true; /* a close in here is noticed below */
    while (!l->closed && n < HAND_OVERS_PER_BATCH &&
           weft__undecided_hand_over_next(l))
        n++;
    l->stepping = false;
    if (l->closed) {
        weft__loop_undefer(l->loop, &l->step); /* a release in there */
        weft_free(l);
    } else if (l->waiting != NULL) {
        weft__loop_defer(l->loop, &l->step, on_step, l);
    }
}

void weft__listener_release(weft__listener *l)
{
    l->held = false;
    if (l->waiting != NULL)
        weft__loop_defer(l->loop, &l->step, on_step, l);
}

/* The file may be another process's by now. */
static void remove_file(weft__listener *l)
{
    struct stat st;

    if (l->bound && lstat(l->address.u.un.sun_path, &st) == 0 &&
        st.st_dev == l->dev && st.st_ino == l->ino)
        (void)unlink(l->address.u.un.sun_path);
    l->bound = false;
}

static void shut(weft__listener *l)
{
    weft__inproc_close(l->inproc);
    l->inproc = NULL;
    remove_file(l);
    weft_timer_stop(&l->sleep);
    if (l->armed)
        event_del(l->event);
    l->armed = false;
    if (l->fd >= 0)
        (void)close(l->fd);
    if (l->reserve_fd >= 0)
        (void)close(l->reserve_fd);
    l->fd = l->reserve_fd = -1;
    event_debug_unassign(l->event);
}

void weft__listener_stop(weft__listener *l)
{
    if (l->fd >= 0) {
        for (int i = 0; i < STOP_ACCEPTS; i++) {
            accepted result = accept_one(l);

            if (result == ACCEPTED_NONE ||
                (result == ACCEPTED_SHORT && !refuse_one(l, errno)))
                break;
        }
    }
    shut(l);
}

void weft__listener_close(weft__listener *l)
{
    if (l == NULL || l->closed)
        return;
    l->closed = true;
    weft__undecided_close_all(l);
    shut(l);
    /* A callback of ours may be on the stack. */
    if (!l->stepping)
        weft__loop_defer(l->loop, &l->step, on_step, l);
}

void weft__listener_conn_gone(weft__listener *l)
{
    l->count--;
}

size_t weft__listener_count(const weft__listener *l)
{
    return l->count;
}
