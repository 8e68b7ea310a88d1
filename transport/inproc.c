/* inproc.c - the process's registry of inproc names.
 *
 * A hand-over names its listener by id, never by pointer: the listener may have
 * gone, and another one may have its name, by the time it runs. */
#include "inproc_internal.h"

#include <pthread.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/mem.h>
#include <weft/sys.h>

enum { NAME_BYTES = sizeof((struct sockaddr_un *)0)->sun_path };

struct weft__inproc {
    weft__inproc *next;
    weft_loop *loop;
    uint64_t id;
    uint32_t backlog, waiting; /* posted and not accepted */
    weft__inproc_cb cb;
    void *user;
    char name[NAME_BYTES];
};

typedef struct handover {
    uint64_t id;
    int fd;
} handover;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static weft__inproc *listeners;
static uint64_t last_id;

static weft__inproc *find(const char *name)
{
    weft__inproc *p = listeners;

    while (p != NULL && strcmp(p->name, name) != 0)
        p = p->next;
    return p;
}

weft_status weft__inproc_listen(weft__inproc **out, weft_loop *loop,
                                const char *name, uint32_t backlog,
                                weft__inproc_cb cb, void *user)
{
    size_t len = strlen(name);
    weft__inproc *inproc;
    weft_status status = WEFT_EEXIST;

    if (len == 0 || len >= NAME_BYTES)
        return WEFT_EADDR;
    if ((inproc = weft_calloc(1, sizeof *inproc)) == NULL)
        return WEFT_ENOMEM;
    inproc->loop = loop;
    inproc->backlog = backlog;
    inproc->cb = cb;
    inproc->user = user;
    memcpy(inproc->name, name, len);
    pthread_mutex_lock(&mutex);
    if (find(name) == NULL) {
        inproc->id = ++last_id;
        inproc->next = listeners;
        listeners = inproc;
        status = WEFT_OK;
    }
    pthread_mutex_unlock(&mutex);
    if (status == WEFT_OK)
        *out = inproc;
    else
        weft_free(inproc);
    return status;
}

void weft__inproc_close(weft__inproc *inproc)
{
    weft__inproc **p;

    if (inproc == NULL)
        return;
    pthread_mutex_lock(&mutex);
    for (p = &listeners; *p != inproc; p = &(*p)->next)
        ;
    *p = inproc->next;
    pthread_mutex_unlock(&mutex);
    weft_free(inproc);
}

/* On the listener's loop, so the listener cannot go while this runs. */
static void on_handover(void *arg)
{
    handover *h = arg;
    weft__inproc *inproc;

    pthread_mutex_lock(&mutex);
    for (inproc = listeners; inproc != NULL && inproc->id != h->id;)
        inproc = inproc->next;
    if (inproc != NULL)
        inproc->waiting--;
    pthread_mutex_unlock(&mutex);
    if (inproc != NULL)
        inproc->cb(h->fd, inproc->user);
    else
        (void)close(h->fd);
    weft_free(h);
}

weft_status weft__inproc_connect(const char *name, int *fd)
{
    handover *h = weft_malloc(sizeof *h);
    weft_status status = WEFT_ECONNREFUSED;
    weft__inproc *inproc;
    int fds[2];

    if (h == NULL)
        return WEFT_ENOMEM;
    if (weft__sys_socketpair(fds) != 0) {
        weft_free(h);
        return WEFT_ELIMIT;
    }
    /* Posted under the lock: a loop outlives the listeners on it. */
    pthread_mutex_lock(&mutex);
    inproc = find(name);
    if (inproc != NULL && inproc->waiting < inproc->backlog) {
        *h = (handover){.id = inproc->id, .fd = fds[1]};
        status = weft_loop_post(inproc->loop, on_handover, h);
        if (status == WEFT_OK)
            inproc->waiting++;
        else if (status == WEFT_ECLOSED)
            status = WEFT_ECONNREFUSED;
    }
    pthread_mutex_unlock(&mutex);
    if (status != WEFT_OK) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        weft_free(h);
        return status;
    }
    *fd = fds[0];
    return WEFT_OK;
}
